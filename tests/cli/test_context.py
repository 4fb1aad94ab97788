"""Prompts beyond the context: refused, scaled or cut, and the completion says which."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remask.decoding.recipe import Recipe
from remask.errors import RecipeError, RequestError
from remask.exactness import Exactness
from remask.llm import LLM
from remask.models.rotary import NONE, Extent, Rope
from tests.helpers.data import TINY_LLADA

LONG = " ".join(f"The colour of item {i} is {('red', 'blue', 'green')[i % 3]}." for i in range(40))
SHORT = "Sort 3 1 2."


def test_a_long_prompt_is_refused_with_what_would_help(llm: LLM) -> None:
    given = len(llm.encode(LONG))
    assert 512 < given < 700
    with pytest.raises(RequestError) as refused:
        llm.request(LONG, gen_length=8) and llm.submit(LONG, gen_length=8)
    told = str(refused.value)
    assert f"the canvas has {given + 8} tokens ({given} given, 8 to decide), the model's context is 256" in told
    assert "truncate-middle" in told and "rope ntk:auto (up to 1536)" in told


@pytest.mark.parametrize("options", [{"rope": "ntk:auto"}, {"context_policy": "scale"}], ids=str)
def test_a_long_prompt_is_scaled(llm: LLM, options: dict[str, Any]) -> None:
    done = llm.generate(LONG, gen_length=4, **options)
    assert done.rope is not None and done.rope.rope in ("ntk:8", "ntk:14")
    assert done.rope.trained == 256 and done.rope.d_extra == 16
    assert done.rope.reach >= done.prompt_tokens + 4 == len(llm.encode(LONG)) + 4
    assert (done.dropped, done.warnings, done.exactness) == (0, (), Exactness.APPROXIMATE)


def test_the_policy_scale_leaves_what_fits_alone(llm: LLM) -> None:
    scaled, plain = (llm.generate(SHORT, gen_length=16, context_policy=policy) for policy in ("scale", "error"))
    assert scaled.rope == plain.rope == Extent("none", 256, 16, 1.0, 277)
    assert scaled.tokens == plain.tokens and scaled.logprobs == plain.logprobs
    assert llm.request(LONG, context_policy="scale", rope="yarn:4").recipe.rope.method == "yarn"


@pytest.mark.parametrize(("options", "length"), [({}, 256), ({"rope": "ntk:auto"}, 1536)], ids=["own", "scaled"])
def test_a_prompt_is_cut_in_the_middle(llm: LLM, options: dict[str, Any], length: int) -> None:
    ids = llm.encode(LONG * 5)
    request = llm.request(LONG * 5, gen_length=17, context_policy="truncate-middle", **options)
    kept = [token for token in request.tokens if token is not None]
    head, tail = (length - 17 + 1) // 2, (length - 17) // 2
    assert kept == ids[:head] + ids[-tail:] and len(request.tokens) == length
    assert request.dropped == len(ids) - len(kept)
    if not options:
        done = llm.engine.submit(request).result()
        assert done.dropped == request.dropped and done.prompt_tokens == len(kept)
    whole = llm.request(SHORT, context_policy="truncate-middle")
    assert whole.dropped == 0 and whole == llm.request(SHORT)


def test_a_default_length_gives_way_and_a_stated_one_does_not(llm: LLM) -> None:
    usual = int(llm.defaults["gen_length"])
    prompt = "word " * 110
    given = len(llm.encode(prompt))
    assert given < 256 < given + usual
    assert llm.request(prompt).tokens.count(None) == 256 - given
    for options in ({"rope": "ntk:auto"}, {"context_policy": "scale"}, {"context_policy": "truncate-middle"}):
        assert llm.request(prompt, **options).tokens.count(None) == usual
    assert llm.request(LONG * 6, context_policy="truncate-middle").tokens.count(None) == usual
    assert len(llm.request(LONG, gen_length=300, rope="ntk:8").tokens) == len(llm.encode(LONG)) + 300


@pytest.mark.parametrize(
    ("prompt", "options", "told"),
    [
        (LONG * 5, {"rope": "ntk:auto"}, "rope ntk:auto takes at most 1536 on this model"),
        (LONG * 5, {"context_policy": "scale"}, "rope ntk:auto takes at most 1536 on this model"),
        (LONG * 20, {"rope": "ntk:31"}, "rope ntk:31 takes at most 8192 on this model"),
        (LONG, {"context_policy": "squeeze"}, "unknown context_policy 'squeeze'; known: error, scale, truncate-middle"),
        (LONG, {"context_policy": "truncate-middle", "gen_length": 255}, "leaves no room for the ends of the prompt"),
        (SHORT, {"rope": "ntk:0"}, "factor of rope ntk must lie in 1"),
        (SHORT, {"rope": "ntk:nan"}, "got nan"),
        (SHORT, {"rope": "wind"}, "unknown rope 'wind'"),
        (SHORT, {"lookahead": -1}, "lookahead must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused(llm: LLM, prompt: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises((RequestError, RecipeError)) as refused:
        llm.submit(prompt, **({"gen_length": 8} | options))
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_what_is_likely_to_be_lost_is_said(llm: LLM) -> None:
    done = llm.generate(LONG, gen_length=2, rope="ntk:4")
    (told,) = done.warnings
    assert told.startswith(f"the canvas has {len(llm.encode(LONG)) + 2:,} tokens and ntk:4 reaches 555; what lies")


def test_a_template_is_scaled_but_never_cut(llm: LLM) -> None:
    template = LONG + " So it is {{3}}."
    done = llm.infill(template, context_policy="scale")
    assert done.rope is not None and done.rope.factor > 1
    with pytest.raises(RequestError, match="truncate-middle cuts prompts"):
        llm.infill(template, context_policy="truncate-middle")
    with pytest.raises(RequestError, match="the model's context is 256"):
        llm.infill(template)


def test_a_lookahead_is_another_canvas(llm: LLM) -> None:
    done = llm.generate(SHORT, lookahead=4, block_length=8, gen_length=24)
    assert done.exactness == Exactness.OTHER_CANVAS


def test_the_program_scales_and_says_so(invoke: Callable[..., Any]) -> None:
    done = invoke("run", LONG, "--rope", "ntk:auto,margin=1.5", "--gen-length", "4", "--json", "--lookahead", "0")
    said = json.loads(done.out)
    assert said["recipe"]["rope"] == said["rope"]["rope"] == "ntk:14"
    assert said["recipe"]["canvas"] == {"by": "lookahead", "masks": 0}
    assert said["rope"] | {"rope": 0} == {"rope": 0, "trained": 256, "d_extra": 16, "factor": 14.0, "reach": 1038}
    assert "ntk:14 reaches 1,038" in done.err and "approximate network" in done.err

    cut = invoke("run", LONG, "--context-policy", "truncate-middle", "--gen-length", "4")
    assert cut.code == 0 and "prompt tokens left out" in cut.err and "exact" in cut.err
    near = invoke("run", LONG, "--rope", "ntk:4", "--gen-length", "2")
    assert "warning: the canvas has" in near.err and near.code == 0
    refused = invoke("run", LONG, "--gen-length", "8")
    assert refused.code == 2 and "or scale positions with --rope ntk:auto (up to 1536)" in refused.err


def test_the_program_shows_what_a_model_reaches(invoke: Callable[..., Any]) -> None:
    shown = invoke("models", "show", TINY_LLADA)
    assert "16 seen whole in 256 tokens; reaches 277, ntk:4 555, ntk:8 785, ntk:14 1,038, ntk:31 1,546" in shown.out


def test_a_setting_of_a_recipe_scales_too(llm: LLM, tmp_path: Path) -> None:
    (tmp_path / "long.toml").write_text('rope = "ntk:auto,margin=1.5"\ncanvas = { by = "lookahead", masks = 2 }\n')
    recipe = Recipe.load(str(tmp_path / "long.toml"))
    assert Recipe.parse(recipe.tables()) == recipe
    for options in ({"recipe": recipe}, {"set": {"rope": "ntk:auto,margin=1.5"}}):
        request = llm.request(LONG, gen_length=8, **options)
        assert request.recipe.rope == Rope("ntk", margin=1.5)
        assert llm.engine.submit(request).recipe.rope == Rope("ntk", 14.0)
    assert Recipe.load("llada+rope=ntk:4").rope == Rope("ntk", 4.0)
    assert llm.request(SHORT, recipe=recipe, rope="none").recipe.rope == NONE
