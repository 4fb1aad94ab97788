"""Templates: the given text stays to the byte, and a space before a hole belongs to the hole."""

import re
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import remask
from remask.engine.engine import Engine
from remask.llm import LLM
from remask.testing import Oracle
from remask.text.holes import fill_holes, fills_after_spaces, hole_lengths, template_parts, without_spaces
from tests.helpers.data import TINY_LLADA

PACKAGE = Path(remask.__file__).parent
TEMPLATE = re.compile(r"""["'`]([^"'`\n]*?[^"'`\n{ ] ?\{\{(?:\w+:)?[1-9]\d*\}\}[^"'`\n]*)["'`]""")
templates = st.lists(st.sampled_from(["a", " ", "  ", "\n", "é", "{{1}}", "{{n:3}}", r"\{{"]), min_size=1).map("".join)


@pytest.fixture(scope="module")
def llm() -> LLM:
    return remask.load(TINY_LLADA)


@given(templates.filter(lambda text: re.search(r"(?<!\\)\{\{\w", text)), st.data())
def test_the_given_text_stays_and_one_space_goes_to_the_hole(template: str, data: st.DataObject) -> None:
    parts = template_parts(template)
    read = without_spaces(parts)
    assert [part for part in read if isinstance(part, int)] == [part for part in parts if isinstance(part, int)]
    assert sum(hole_lengths(template)) == sum(part for part in parts if isinstance(part, int))
    spaced = [a for a, b in pairwise(parts) if isinstance(b, int) and str(a).endswith(" ")]
    lost = sum(len(part) for part in parts if isinstance(part, str)) - sum(
        len(part) for part in read if isinstance(part, str)
    )
    assert lost == len(spaced)
    count = len(hole_lengths(template))
    fills = data.draw(st.lists(st.sampled_from(["x", " x", "  x", ""]), min_size=count, max_size=count))
    whole = fill_holes(template, fills_after_spaces(template, fills))
    pattern = ".*".join(re.escape(part) for part in parts if isinstance(part, str))
    assert re.fullmatch(f".*{pattern}.*", whole, re.DOTALL)


def test_a_space_is_the_holes_unless_it_is_said_to_be_given(llm: LLM) -> None:
    request = llm.infilling("The {{1}} sat on\n {{2}}.")
    given = [token for token in request.tokens if token is not None]
    assert given == [*llm.text.encode("The"), *llm.text.encode(" sat on\n"), *llm.text.encode(".")]
    apart = llm.infilling("The {{1}} sat.", spaces_in_holes=False)
    assert [token for token in apart.tokens if token is not None] == [
        *llm.text.encode("The "),
        *llm.text.encode(" sat."),
    ]


def test_the_space_stands_once_whatever_the_fill_brings(llm: LLM) -> None:
    for word in (" cat", "cat"):
        ids = llm.text.encode(word)
        hole = f"{{{{{len(ids)}}}}}"
        request = llm.infilling(f"The {hole} {hole} sat.")
        answer = [*llm.text.encode("The"), *ids, *ids, *llm.text.encode(" sat.")]
        model = Oracle(answer, 0.9, llm.model.contract)
        done = Engine(model, llm.text).submit(request).result()
        assert (done.text, done.fills) == ("The cat cat sat.", ("cat", "cat"))


bundled = cache(remask.load)


def examples() -> list[str]:
    """Every template with a hole in the package's docstrings, help and errors, and in the README."""
    pages = [*PACKAGE.rglob("*.py"), *PACKAGE.parent.glob("README.md"), *PACKAGE.parent.glob("examples/*.py")]
    found = {match for page in pages for match in TEMPLATE.findall(page.read_text(encoding="utf-8"))}
    return sorted(text for text in found if " is a hole of " not in text)


def test_there_are_examples_of_templates() -> None:
    assert len(examples()) >= 5


@pytest.mark.parametrize("template", examples())
def test_a_template_that_is_shown_gives_clean_text(template: str) -> None:
    done = bundled().infill(template)
    assert not re.search(r"\s\s|\s[.,]", done.text) and done.text == fill_holes(template, done.fills)


def test_the_docstring_of_the_package_runs(capsys: pytest.CaptureFixture[str]) -> None:
    code = re.search(r"\n\n((?:    .*\n)+)", remask.__doc__ or "")
    assert code is not None
    exec(compile(re.sub(r"^    ", "", code[1], flags=re.MULTILINE), "remask", "exec"), {})
    assert "  " not in capsys.readouterr().out.splitlines()[-1]
