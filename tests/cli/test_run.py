"""`remask run`: text on stdout, everything else on stderr."""

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch

from remask.decoding.recipe import FAST, Recipe
from remask.engine.host import thread_limit
from remask.llm import LLM
from remask.options import apply
from remask.trace.format import read
from tests.helpers.data import TINY_LLADA
from tests.helpers.threads import threads_of_forwards

Invoke = Callable[..., Any]
FIGURES = re.compile(r"(\d+) tokens? · (\d+) forwards? · \d+\.\d\d s · \d+\.\d tokens/s · decoding: (.+) · (\w+)\n")
SHORT = ("--gen-length", 8, "--steps", 4)


def test_text_goes_to_stdout_and_figures_to_stderr(invoke: Invoke, llm: LLM) -> None:
    result = invoke("run", "Sort 3 1 2.", *SHORT)
    expected = llm.generate("Sort 3 1 2.", gen_length=8, steps=4)
    assert result.code == 0
    assert result.out == expected.text + "\n"
    found = FIGURES.fullmatch(result.err)
    assert found and found[1] == str(len(expected.tokens)) and found[2] == str(expected.forwards)
    assert found[3] == "exact" and found[4] == expected.finish_reason


@pytest.mark.parametrize("machine", [("--quantize", "int8"), ("--dtype", "bfloat16")], ids=" ".join)
def test_other_numbers_are_called_so(invoke: Invoke, machine: tuple[str, str]) -> None:
    found = FIGURES.fullmatch(invoke("run", "Sort 3 1 2.", *SHORT, "--device", "cpu", *machine).err)
    assert found and found[3] == "other numbers"


def test_a_small_model_computes_on_one_thread_unless_told_otherwise(invoke: Invoke) -> None:
    with thread_limit(2):
        for asked, threads in (((), 1), (("--threads", 2), 2)):
            with threads_of_forwards() as seen:
                assert invoke("run", "Sort 3 1 2.", "--gen-length", 1, "--device", "cpu", *asked).code == 0
            assert seen == {threads}
            assert torch.get_num_threads() == 2, "as it was"


def test_an_unknown_quantize_is_refused(invoke: Invoke) -> None:
    result = invoke("run", "Sort 3 1 2.", "--quantize", "int4")
    assert result.code == 2 and "unknown quantize 'int4'; use none, int8, int8-dynamic" in result.err


def test_quiet_is_the_text_alone(invoke: Invoke) -> None:
    assert invoke("run", "Sort 3 1 2.", *SHORT, "-q").err == ""


def test_words_without_quotes_are_one_prompt(invoke: Invoke) -> None:
    assert invoke("run", "Sort", "3", "1", "2.", *SHORT, "-q") == invoke("run", "Sort 3 1 2.", *SHORT, "-q")


def test_stdin_is_the_prompt_less_its_last_line_break(invoke: Invoke) -> None:
    said = invoke("run", "Sort 3 1 2.", *SHORT, "-q")
    assert invoke("run", *SHORT, "-q", stdin=b"Sort 3 1 2.\n") == said
    assert invoke("run", "-", *SHORT, "-q", stdin=b"Sort 3 1 2.\r\n") == said


def test_json_holds_the_whole_answer(invoke: Invoke, llm: LLM) -> None:
    result = invoke("run", "Sort 3 1 2.", *SHORT, "--json", "--seed", 3, "-t", "0.5")
    said = json.loads(result.out)
    expected = llm.generate("Sort 3 1 2.", gen_length=8, steps=4, temperature=0.5, seed=3)
    assert said["text"] == expected.text and said["tokens"] == list(expected.tokens)
    assert said["logprobs"] == pytest.approx(list(expected.logprobs), abs=1e-5)
    assert said["forwards"] == expected.forwards and said["finish_reason"] == expected.finish_reason
    assert said["model"] == TINY_LLADA and said["exactness"] == "exact" and said["seed"] == 3
    assert said["seconds"] > 0
    recipe = Recipe.parse(said["recipe"])
    assert recipe.process.temperature == 0.5 and recipe.steps == 4


@pytest.mark.parametrize(
    "recipe",
    [Recipe(), apply(Recipe(), steps=3, block_length=4, temperature=0.3, top_p=0.9, threshold=0.8, remasking="margin")],
)
def test_a_recipe_told_in_json_is_the_same_recipe(recipe: Recipe) -> None:
    assert Recipe.parse(json.loads(json.dumps(recipe.tables()))) == recipe


def test_set_changes_the_recipe_that_the_other_options_make(invoke: Invoke) -> None:
    def recipe(*options: object) -> Recipe:
        return Recipe.parse(json.loads(invoke("run", "Sort 3 1 2.", *SHORT, "--json", *options).out)["recipe"])

    plain = recipe()
    assert recipe("--set", "select=threshold", "--set", "select.threshold=0.8") == recipe("--threshold", 0.8)
    assert recipe("--set", "confidence=margin") == plain.change({"confidence": "margin"})
    assert recipe("--recipe", "llada+confidence=margin", "--set", "blocks.length=4") == recipe(
        "--recipe", "llada", "--remasking", "margin", "--block-length", 4
    )
    assert recipe("--fast") == recipe("--recipe", FAST) != plain


def test_several_answers_have_seeds_that_count_up(invoke: Invoke) -> None:
    options = (*SHORT, "-t", "1", "--json")
    lines = invoke("run", "Tell me a story.", *options, "-n", 2).out.splitlines()
    alone = [json.loads(invoke("run", "Tell me a story.", *options, "--seed", seed).out) for seed in (0, 1)]
    assert [json.loads(line)["tokens"] for line in lines] == [one["tokens"] for one in alone]
    assert [json.loads(line)["seed"] for line in lines] == [0, 1]
    text = invoke("run", "Tell me a story.", *SHORT, "-t", "1", "-n", 2)
    assert text.out == f"{alone[0]['text']}\n---\n{alone[1]['text']}\n" and len(FIGURES.findall(text.err)) == 2


def test_equal_answers_are_explained(invoke: Invoke) -> None:
    assert "at temperature 0 a seed changes little" in invoke("run", "Sort 3 1 2.", *SHORT, "-n", 2).err
    assert "at temperature 0" not in invoke("run", "Sort 3 1 2.", *SHORT, "-n", 2, "-t", 1).err


def test_what_had_settled_is_printed_after_an_interrupt(
    invoke: Invoke, llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = llm.engine.step, iter(range(100))

    def interrupted() -> None:
        if next(calls) == 5:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(llm.engine, "step", interrupted)
    options = ("--gen-length", 16, "--block-length", 2)
    result = invoke("run", "Tell me a story about a cat.", *options, "--watch")
    monkeypatch.undo()
    whole = llm.generate("Tell me a story about a cat.", gen_length=16, block_length=2).text
    assert result.code == 130 and "stopped after 5 of 16 steps" in result.err
    assert result.out.strip() and whole.startswith(result.out.rstrip("\n"))


def test_more_answers_than_the_queue_holds_come_all_the_same(
    invoke: Invoke, llm: LLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llm.engine, "max_waiting", 2)
    monkeypatch.setattr(llm.engine, "max_rows", 1)
    lines = invoke("run", "Sort 3 1 2.", *SHORT, "--json", "-n", 5).out.splitlines()
    assert [json.loads(line)["seed"] for line in lines] == [0, 1, 2, 3, 4]


def test_raw_and_system_change_what_the_model_reads(invoke: Invoke, llm: LLM) -> None:
    def prompt_tokens(*options: str) -> int:
        return int(json.loads(invoke("run", "The cat", *SHORT, "--json", *options).out)["prompt_tokens"])

    assert prompt_tokens("--raw") == len(llm.encode("The cat", raw=True))
    assert prompt_tokens("--system", "Be brief.") > prompt_tokens() > prompt_tokens("--raw")


def test_options_reach_the_recipe(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nblocks = { by = "blocks", length = 4 }\n')
    options = ("--recipe", file, "--threshold", "0.9", "--top-k", 5, "--logits-eos-inf", "--steps", 8)
    said = json.loads(invoke("run", "hi", "--gen-length", 8, "--json", *options).out)
    assert said["recipe"]["name"] == "mine" and said["recipe"]["blocks"]["length"] == 4
    assert said["recipe"]["select"] == {"by": "threshold", "threshold": 0.9, "strict": False}
    assert said["recipe"]["process"]["logits_eos_inf"] is True and said["recipe"]["process"]["top_k"] == 5
    assert said["exactness"] == "same network, other order"


def test_a_stop_string_ends_the_text_before_it(invoke: Invoke, llm: LLM) -> None:
    whole = llm.generate("The cat sat on the", raw=True, gen_length=8).text
    stop = whole[len(whole) // 2 :][:2]
    result = invoke("run", "The cat sat on the", "--raw", "--gen-length", 8, "--stop", stop)
    assert result.out == whole[: whole.index(stop)] + "\n"


def test_watching_in_a_pipe_is_a_line_a_step_on_stderr(invoke: Invoke) -> None:
    result = invoke("run", "Sort 3 1 2.", *SHORT, "--watch")
    lines = result.err.splitlines()
    assert [line.split(" · ")[0] for line in lines[:-1]] == [f"step {n}/4" for n in range(1, len(lines))]
    assert f" · {len(lines) - 1} forwards" in lines[-1]
    assert "░" in lines[0] and "\x1b" not in result.err
    assert result.out == invoke("run", "Sort 3 1 2.", *SHORT).out


def test_a_trace_records_the_run(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    said = json.loads(invoke("run", "Sort 3 1 2.", *SHORT, "--json", "--trace", file).out)
    trace = read(StringIO(file.read_text(encoding="utf-8")))
    assert trace.end is not None and trace.end["text"] == said["text"]
    assert trace.end["finish_reason"] == said["finish_reason"] and len(trace.steps) == said["forwards"]
    prompt = said["prompt_tokens"]
    assert trace.final()[prompt : prompt + len(said["tokens"])].tolist() == said["tokens"]
    assert trace.header["model"] == TINY_LLADA and Recipe.parse(trace.header["recipe"]).steps == 4
