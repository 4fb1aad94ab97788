"""One table of options: whatever it declares is a keyword, a flag, a setting of chat and a place of the recipe."""

import ast
import re
import runpy
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import remask
from remask.cli.app import with_flags
from remask.cli.options import Decoding, flag
from remask.decoding.axes import AXES
from remask.decoding.blocks import Blocks
from remask.decoding.confidence import CONFIDENCES
from remask.decoding.recipe import MOST_STEPS, PLAIN, Recipe
from remask.decoding.selection import Threshold
from remask.engine import context
from remask.errors import RecipeError, RemaskError, RequestError
from remask.llm import LLM
from remask.options import OTHER_NAMES, REMASKING, ContextPolicy, Options, Remasking, apply, as_text, read
from remask.validation import Range

ROOT = Path(__file__).parents[1]
ASK = "Sort 3 1 2."
MORE = '''
"""Two options more: nothing but their lines in the table."""

from typing import Annotated

from remask import options


class More(options.Options, total=False):
    vicinity: Annotated[int | None, options.Option("Neighbours that are fresh.", "N", path="cache.vicinity", by="dual")]
    every: Annotated[int | None, options.Option("Steps between refreshes.", "N", path="cache.every", by="dual")]


options.Options = More

import io, sys

import remask
from remask.cli import main
from remask.decoding.caches import Dual

llm = remask.load()
assert llm.request("hi", vicinity=3).recipe.cache == Dual(vicinity=3)
assert llm.request("hi", vicinity=3, every=2).recipe.cache == Dual(vicinity=3, every=2)
assert llm.request("hi", vicinity=3, set={"cache.vicinity": 4}).recipe.cache == Dual(vicinity=4)
assert main(["run", "--help"]) == 0
assert main(["run", "Sort 31.", "--vicinity", "3", "--json", "--gen-length", "8"]) == 0
assert main(["run", "Sort 31.", "--vicinity", "x"]) == 2
assert main(["run", "Sort 31.", "--vicinity", "3", "--set", "cache=prefix"]) == 2
sys.stdin = io.TextIOWrapper(io.BytesIO(b"/set vicinity 5\\n/set\\n/set vicinty 5\\n/set vicinity many\\n"))
assert main(["chat", "--gen-length", "8"]) == 0
'''


TYPED = """
import remask

llm = remask.load(max_rows=4)
reveal_type(llm.generate("x", gen_length=8, recipe="dream"))  # Completion"
reveal_type(llm.generate(["x"], gen_length=8))  # list[remask.engine.requests.Completion]
reveal_type(remask.stream("x", seed=1))  # Iterator[str]
options: remask.Options = {"steps": 8}
llm.submit("x", **options)
llm.submit("x", max_tokens=8)  # Unexpected keyword argument "max_tokens"
llm.submit("x", steps="8")  # incompatible type "str"
llm.submit("x", remasking="best")  # incompatible type "Literal['best']"
remask.load(max_row=4)  # did you mean "max_rows"
"""


@pytest.fixture(scope="module")
def llm() -> LLM:
    return remask.load("bundled", device="cpu")


def test_one_line_in_the_table_is_a_keyword_a_flag_a_setting_and_a_place(tmp_path: Path) -> None:
    script = tmp_path / "more.py"
    script.write_text(MORE)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "--vicinity" in done.stdout and "Neighbours that are fresh." in done.stdout
    assert '"vicinity": 3' in done.stdout
    assert "--vicinity and --set cache both set cache.vicinity; leave one out" in done.stderr
    assert "vicinity = 5" in done.stderr and "vicinity=5" in done.stderr
    assert "there is no setting 'vicinty'; known: " in done.stderr and "did you mean 'vicinity'?" in done.stderr
    assert "vicinity must be a whole number, got 'many'" in done.stderr


@pytest.mark.slow
def test_mypy_checks_the_keywords(tmp_path: Path) -> None:
    script = tmp_path / "typed.py"
    script.write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-pretty", str(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    said = {int(line.split(":")[1]): line for line in reversed(done.stdout.splitlines()) if "typed.py:" in line}
    expected = {n: line.split("  # ")[1] for n, line in enumerate(TYPED.splitlines(), 1) if "  # " in line}
    assert said.keys() == expected.keys(), done.stdout
    assert all(message in said[number] for number, message in expected.items()), done.stdout


def test_every_place_of_an_option_is_one_of_a_recipe() -> None:
    tables = Recipe().tables()
    for name, field in as_text().items():
        axis, _, key = field.option.path.partition(".")
        if field.option.by:
            assert key in {f.name for f in fields(AXES[axis][field.option.by])}, name
        elif key:
            assert key in {f.name for f in fields(type(getattr(Recipe(), axis)))}, name
        elif axis:
            assert axis in tables or axis in PLAIN, name


def test_the_types_say_what_their_owners_take() -> None:
    assert set(get_args(Remasking)) == {*CONFIDENCES, *REMASKING} and set(REMASKING.values()) <= set(CONFIDENCES)
    assert get_args(ContextPolicy) == get_args(context.ContextPolicy)
    (bounds,) = [part for part in as_text()["steps"].hint.__metadata__ if isinstance(part, Range)]
    assert (bounds.low, bounds.high) == (1, MOST_STEPS)


def test_every_option_with_a_flag_has_one() -> None:
    flags = {name for name, field in as_text().items() if field.option.flag}
    assert {f.name for f in fields(Decoding)} == flags - {"gen_length"} | {"fast"}


def test_the_page_is_the_table() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "options_page.py"))["page"]
    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == page(), "run python scripts/options_page.py"


def test_what_is_left_out_has_its_default() -> None:
    values = read({})
    assert values.keys() == as_text().keys() == Options.__annotations__.keys()
    assert (values["seed"], values["stop"], values["context_policy"], values["steps"]) == (0, (), "error", None)


def test_options_change_their_place_and_set_comes_last() -> None:
    recipe = apply(Recipe.load("fast"), steps=8, block_length=16, temperature=None, set={"blocks.length": 4})
    assert (recipe.steps, recipe.blocks, recipe.select) == (8, Blocks(4), Threshold(0.97))
    assert apply(Recipe(), remasking="low_confidence").confidence == "probability"
    with pytest.raises(RecipeError, match=r"unknown remasking 'margn'; known: .*; did you mean 'margin'"):
        apply(Recipe(), remasking="margn")  # type: ignore[arg-type]


def test_a_recipe_is_a_name_a_file_a_spec_or_a_value(llm: LLM, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('select = { by = "threshold", threshold = 0.5 }\nblocks = { by = "blocks", length = 8 }\n')
    for spec in ("dream", "llada+cache=dual", str(file)):
        asked, same = (llm.request(ASK, recipe=recipe, steps=8) for recipe in (spec, Recipe.load(spec)))
        assert asked == same
    named, value = (llm.generate(ASK, recipe=recipe, gen_length=8) for recipe in ("fast", Recipe.load("fast")))
    assert named.tokens == value.tokens
    with pytest.raises(RecipeError, match=r"unknown recipe 'drem'; known: .*; did you mean 'dream'"):
        llm.request(ASK, recipe="drem")


@pytest.mark.parametrize(("name", "meant"), OTHER_NAMES.items())
def test_the_names_of_other_programs_are_understood(llm: LLM, name: str, meant: str) -> None:
    with pytest.raises(RequestError) as error:
        llm.generate(ASK, **{name: 1})  # type: ignore[arg-type]
    assert str(error.value).startswith(f"unknown option '{name}'; known: ")
    assert str(error.value).endswith(f"; did you mean {meant}?")
    assert meant.strip("'") in as_text() or meant.startswith("the method samples")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda llm: llm.generate(5), "a prompt must be text, a list of messages or a list of texts, got 5"),
        (lambda llm: llm.submit(5), "a prompt must be text or a list of messages, got 5"),
        (lambda llm: llm.stream(None), "a prompt must be text or a list of messages, got None"),
        (lambda llm: llm.encode({"a": 1}), "a prompt must be text or a list of messages, got {'a': 1}"),
        (lambda llm: llm.encode(["a"]), "a message needs a \"role\" and a \"content\", both text, got 'a'"),
        (lambda llm: llm.samples(ASK, "2"), "n must be a whole number, got '2'"),
        (lambda llm: llm.samples(ASK, 0), "n must lie in 1..65,536, got 0"),
        (lambda llm: llm.continuation(None), "ids must be a list, each a whole number, got None"),
        (lambda llm: llm.continuation("ab"), "ids must be a list, each a whole number, got 'ab'"),
        (lambda llm: llm.continuation([1.5]), r"ids must be a list, each a whole number, got \[1.5\]"),
        (lambda llm: llm.infill(b"x"), "a template must be text, got b'x'"),
        (lambda llm: llm.score(ASK, 5), "the answer must be text, got 5"),
        (lambda llm: llm.score(ASK, "a", samples="x"), "samples must be a whole number, got 'x'"),
        (lambda llm: llm.score(ASK, "a", seed=2**64), "seed must lie in 0..9,223,372,036,854,775,807, got 184"),
        (lambda llm: llm.score(ASK, "a", sample=2), "unknown option 'sample'; known: .*; did you mean 'samples'"),
        (lambda llm: remask.load(5), "model must be text or a PathLike, got 5"),
        (lambda llm: remask.load(device=0), "device must be text, got 0"),
        (lambda llm: remask.load(quantize="int9"), "unknown quantize 'int9'; use none, int8, .*; did you mean 'int8'"),
        (lambda llm: remask.load(max_rows=0), "max_rows must be at least 1, got 0"),
        (lambda llm: remask.load(offline=1), "unknown option 'offline'; known: max_rows, max_waiting, memory, threads"),
        (lambda llm: remask.load("bundled-haystak"), "names no model; .*; did you mean 'bundled-haystack'"),
        (lambda llm: remask.load(dtype="floats32"), "unknown dtype 'floats32'; use auto, .*; did you mean 'float32'"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_in_one_line(llm: LLM, call: Any, message: str) -> None:
    with pytest.raises(RemaskError, match=message) as error:
        call(llm)
    assert str(error.value).isprintable()


def test_a_number_of_numpy_is_a_number(llm: LLM) -> None:
    assert len(llm.samples(ASK, np.int64(2), gen_length=4)) == 2  # type: ignore[arg-type]
    assert llm.score(ASK, "1 2 3", samples=np.int32(2)).samples == 2


@pytest.mark.parametrize(
    ("python", "flags"),
    [
        ("gen_length must be at least 1, got 0", "--gen-length must be at least 1, got 0"),
        ("give steps 2 or a larger block_length", "give --steps 2 or a larger --block-length"),
        ("or scale positions with rope ntk:auto (up to 4)", "or scale positions with --rope ntk:auto (up to 4)"),
        ("shorten the prompt or gen_length, or", "shorten the prompt or --gen-length, or"),
        ("select: top_k has no value 'top_k'", "select: top_k has no value 'top_k'"),
        ("unknown select 'x'; known: stable, threshold, top_k", "unknown select 'x'; known: stable, threshold, top_k"),
        ("select.threshold must lie in [0, 1]", "select.threshold must lie in [0, 1]"),
        (
            "stop strings end an answer; the recipe takes 8 steps",
            "stop strings end an answer; the recipe takes 8 steps",
        ),
    ],
)
def test_the_command_line_speaks_flags(python: str, flags: str) -> None:
    every = {flag(name) for name in as_text()}
    assert with_flags(python, every) == flags
    assert with_flags(python, ()) == python, "a command without the flag"


def test_the_library_speaks_python() -> None:
    """No error that is raised outside the command line names a flag; llama.cpp's own tools have some."""
    for path in sorted((ROOT / "remask").rglob("*.py")):
        if "cli" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for part in ast.walk(node) if isinstance(node, ast.Raise) else ():
                text = str(part.value) if isinstance(part, ast.Constant) else ""
                assert "gguf" in text or not re.search(r"--[a-z]", text), f"{path}:{part.lineno}: {text}"
