"""The same logits, and the same steps, as the authors' own classes: their runs on tiny checkpoints of every quirk.

tests/golden/make/families.py made them; docs/models.md says from which code.
"""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from remask.decoding.blocks import Auto, SubBlocks, Whole
from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Process, Recipe, Stop
from remask.decoding.revision import Edit
from remask.decoding.selection import Dynamic, Sequential, Threshold, TopK
from remask.engine.row import Row
from remask.engine.step import denoise
from remask.models.predictor import MaskPredictor
from remask.options import apply
from tests.helpers.tiny import changed, loaded, logits, prompts

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
LOGITS = load_file(GOLDEN / "models.safetensors")
CLOSE = 1e-4


@cache
def stored() -> dict[str, Any]:
    return dict(json.loads((GOLDEN / "models.json").read_text(encoding="utf-8"))["families"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The tiny checkpoint of a family, loaded."""
    return cache(lambda family: loaded(tmp_path_factory.mktemp(family), family))


@pytest.mark.parametrize("family", LOGITS)
def test_logits_are_those_of_the_authors(model: Any, family: str) -> None:
    predictor: MaskPredictor = model(family)
    theirs = LOGITS[family]
    assert theirs.std() > 0.5
    assert (logits(predictor, prompts()) - theirs).abs().max() < CLOSE


# What OLMoE and Glm4Moe cannot show, or show only in part.
TRAPS: list[tuple[str, dict[str, Any]]] = [
    ("llada", {"qkv_bias": False}),
    ("llada", {"shift": 1}),
    ("dream", {"shift": 0}),
    ("rnd1", {"shift": 0}),
    ("rnd1", {"moe": {"normalise": False}}),
    ("sdar", {"block_size": 8}),
    ("sdar", {"qk_norm": False}),
    ("llada_moe", {"qk_norm": False}),
    ("llada_moe", {"moe": {"normalise": True}}),
    ("llada_moe", {"moe": {"bias": "none"}}),
    ("llada_moe", {"moe": {"bias": "choose"}}),
    ("llada_moe", {"moe": {"shared_d_ff": 0}}),
    ("llada2", {"block_size": 4}),
    ("llada2", {"rotary_dim": 16}),
    ("llada2", {"qk_norm": False}),
    ("llada2", {"moe": {"bias": "none"}}),
    ("llada2", {"moe": {"bias": "choose_and_weigh"}}),
    ("llada2", {"moe": {"score": "softmax"}}),
    ("llada2", {"moe": {"n_groups": 1, "top_groups": 1}}),
    ("llada2", {"moe": {"scale": 1.0}}),
]


@pytest.mark.parametrize(("family", "trap"), TRAPS, ids=[f"{f} {t}" for f, t in TRAPS])
def test_without_its_quirk_a_family_is_another_model(model: Any, family: str, trap: dict[str, Any]) -> None:
    predictor: MaskPredictor = model(family)
    moe = {"moe": replace(predictor.model.config.moe, **trap["moe"])} if "moe" in trap else {}
    other = changed(predictor, **trap | moe)
    assert (logits(other, prompts()) - LOGITS[family]).abs().max() > 100 * CLOSE


# --- what they decode, greedily and to the end ---


def recipe_of(family: str, params: dict[str, Any]) -> Recipe:
    """Our recipe for the authors' parameters."""
    whole = Recipe(stop=Stop(eos_prefix=False))
    processed = replace(whole, process=Process(scores="processed"))
    if family == "llada_moe":
        return apply(whole, steps=params["steps"], block_length=params["block_length"])
    if family == "dream":
        alg = {"maskgit_plus": "probability", "topk_margin": "margin", "entropy": "entropy"}[params["alg"]]
        process = replace(Recipe.load("dream").process, top_p=params.get("top_p"), top_k=params.get("top_k"))
        dream = replace(processed, process=process, blocks=Whole(), schedule="linear_t")
        return replace(dream, steps=params["steps"], confidence=alg)
    if family == "sdar":
        how = {"low_confidence_static": TopK(), "sequential": Sequential()}
        rule = how.get(params["remasking_strategy"], Dynamic(params["confidence_threshold"]))
        return replace(processed, blocks=Auto(fill=True, denoising_steps=params["denoising_steps"]), select=rule)
    if family == "llada2":
        blocks = Auto(fill=True, denoising_steps=params["steps"], minimal_topk=params["minimal_topk"])
        return replace(processed, blocks=blocks, select=Dynamic(min(1.0, params["threshold"])))
    if family == "llada2.1":
        rule = Threshold(min(1.0, params["threshold"]), strict=True)
        edit = Edit(params["editing_threshold"], patience=params["max_post_steps"])
        return replace(processed, blocks=Auto(fill=True), select=rule, revise=edit)
    if family == "rnd1":  # its schedule rounds what stays down, which in these cases is even
        return replace(whole, blocks=Whole(), steps=params["steps"], confidence="entropy")
    assert family == "fast_dllm"
    rule = Threshold(params["threshold"], strict=True)
    return replace(processed, blocks=SubBlocks(params["small_block_size"]), select=rule)


CASES = [(family, i) for family, said in stored().items() for i, _ in enumerate(said["decodes"])]


@pytest.mark.parametrize(("family", "number"), CASES)
def test_every_step_is_the_authors(model: Any, family: str, number: int) -> None:
    case = stored()[family]["decodes"][number]
    recipe = recipe_of(family, case["params"])
    predictor: MaskPredictor = model(family)
    length = case["params"].get("gen_length", 33 - len(case["prompt"]))  # Fast-dLLM v2 ends with the lead of a block
    row = Row(answer_canvas(predictor, recipe, case["prompt"], length), recipe, predictor.contract)
    steps = [[(c.position, c.token) for c in step.changes] for _, step in denoise(predictor, [row])]
    # A forward that changes nothing in the answer is not compared: theirs do not show what they cut.
    theirs, ours = (
        [kept for step in made if (kept := {(p, token) for p, token in step if p < row.canvas.limit})]
        for made in (case["steps"], steps)
    )
    if case["params"].get("remasking_strategy") == "low_confidence_dynamic":
        sound = before_a_rewrite(theirs)
        ours, theirs = ours[:sound], theirs[:sound]
    assert theirs and ours == theirs


def test_the_other_order_of_the_filters_is_another_decoder(model: Any) -> None:
    predictor: MaskPredictor = model("dream")
    changed_runs = 0
    for case in stored()["dream"]["decodes"]:
        if "top_k" in case["params"]:
            recipe = recipe_of("dream", case["params"]).change({"process.filters": "top_k_first"})
            row = Row(answer_canvas(predictor, recipe, case["prompt"], 16), recipe, predictor.contract)
            steps = [{(c.position, c.token) for c in step.changes} for _, step in denoise(predictor, [row])]
            changed_runs += steps != [{(p, t) for p, t in step} for step in case["steps"]]
    assert changed_runs


def answer_canvas(model: MaskPredictor, recipe: Recipe, prompt: list[int], length: int) -> Canvas:
    """The canvas of an answer, with what its recipe fills behind it."""
    limit = len(prompt) + length
    filled = recipe.blocks.fit(model.contract).filled(limit, model.contract)
    return Canvas.template([*prompt, *[None] * (filled - len(prompt))], model.contract.mask_id, limit)


def before_a_rewrite(steps: list[set[tuple[int, int]]]) -> int:
    """How many steps there are before SDAR's top-k takes more than is masked, and writes over what it had decided."""
    decided: set[int] = set()
    for count, step in enumerate(steps):
        places = {position for position, _ in step}
        if decided & places:
            return count
        decided |= places
    return len(steps)


@pytest.mark.parametrize("family", ["llada_moe", "llada2", "sdar"])
def test_a_row_in_a_batch_is_the_row_alone(model: Any, family: str) -> None:
    """Experts see the rows of all requests at once, and still each row's answer is its own."""
    predictor: MaskPredictor = model(family)
    given = [case["prompt"] for case in stored()[family]["decodes"][:2]]

    def rows(prompts: list[list[int]]) -> list[list[int]]:
        made = [
            Row(Canvas.after(prompt, 16, predictor.contract.mask_id), Recipe(), predictor.contract)
            for prompt in prompts
        ]
        list(denoise(predictor, made))
        return [row.canvas.tokens.tolist() for row in made]

    assert rows([*given, given[0][:5]]) == [*rows(given[:1]), *rows(given[1:]), *rows([given[0][:5]])]
