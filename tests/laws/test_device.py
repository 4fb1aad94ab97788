"""A step is fit for a device: between one copy up and one copy down, nothing asks the device for a number.

torch's fake tensors have shapes and no numbers, so whatever would wait for the device is refused under them; tensors on
the meta device compute nothing, so copies to and from it can be counted.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from remask.decoding.caches import Delayed, Dual
from remask.decoding.recipe import Guidance, Process, Recipe
from remask.decoding.selection import Threshold
from remask.engine.batch import Batch
from remask.engine.part import partition
from remask.engine.row import Row
from remask.engine.step import decide, prepare, step
from remask.models.config import MoE
from remask.models.contract import Group, Packed
from remask.models.layers import GROUPED, Experts
from remask.models.predictor import MaskPredictor
from remask.models.rotary import Rope
from remask.models.transformer import Transformer
from tests.helpers.jobs import Job, holes

Make = Callable[..., MaskPredictor]
SHIPPED = Recipe.shipped()


def recipe_of(name: str) -> Recipe:
    return Recipe.load(name).spelled(lambda text: [2])


def model_for(make: Make, recipe: Recipe) -> MaskPredictor:
    """A tiny model that was trained for what the recipe asks."""
    grid = {"attention": "block_causal", "block_size": 8} if recipe.cache.attention == "block_causal" else {}
    return make(editable=True, **grid)


def batch_of(model: MaskPredictor, jobs: Sequence[Job]) -> Batch:
    batch = Batch(model)
    for job in jobs:
        batch.admit(job.row(model.contract))
    return batch


# --- nothing asks ---


def is_fake(values: Any) -> bool:
    return all(type(value).__name__ == "FakeTensor" for value in tree_leaves(values) if isinstance(value, Tensor))


def on_fakes(batch: Batch, rows: Sequence[Row]) -> None:
    """The device's half of the next step of `rows`, on tensors without numbers."""
    plans = [row.plan() for row in rows]
    parts = partition(rows, plans)
    packed, inputs = prepare(batch, rows, plans, parts)
    with torch.inference_mode():
        real = decide(batch.model, packed, parts, inputs)  # what is made once is made before
        with FakeTensorMode(allow_non_fake_inputs=True) as mode:
            hollow = [{name: mode.from_tensor(value) for name, value in values.items()} for values in inputs]
            results = decide(batch.model, faked(mode, packed), parts, hollow)
    assert is_fake(results) and len(tree_leaves(results)) == len(tree_leaves(real))
    for ours, expected in zip(tree_leaves(results), tree_leaves(real), strict=True):
        assert (ours.shape, ours.dtype) == (expected.shape, expected.dtype)


def faked(mode: FakeTensorMode, packed: Packed) -> Packed:
    def fake(value: Any) -> Any:
        return mode.from_tensor(value) if isinstance(value, Tensor) else value

    def group(real: Group) -> Group:
        return Group(**{name: fake(value) for name, value in vars(real).items()})

    return replace(
        packed,
        **{name: fake(getattr(packed, name)) for name in ("tokens", "positions", "reads")},
        groups=[group(real) for real in packed.groups],
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_forward_scan_and_settle_ask_the_device_nothing(make_transformer: Make, name: str) -> None:
    """At the first step of each kind, of two rows of unlike lengths: refreshes and cached ones, with masks and not."""
    recipe, kinds = recipe_of(name), set[frozenset[Any]]()
    jobs = [Job((1, 2, *holes(count)), recipe, candidates=2) for count in (9, 14)]
    batch = batch_of(model_for(make_transformer, recipe), jobs)
    while batch.rows:
        plans = [row.plan() for row in batch.rows]
        kind = frozenset((plan.stored is None, plan.keep is None, plan.visible is None) for plan in plans)
        if kind not in kinds:
            on_fakes(batch, batch.rows)
        kinds.add(kind)
        step(batch)
        for row in [row for row in batch.rows if row.finish_reason]:
            batch.evict(row)


def refused() -> Any:
    """What fake tensors raise: an answer that depends on numbers, a shape that does, or no numpy."""
    kinds = (DataDependentOutputException, DynamicOutputShapeException, RuntimeError)
    return pytest.raises(kinds, match=r"_local_scalar_dense|nonzero|bincount|numpy\(\) is not supported")


QUESTIONS: dict[str, Callable[[Tensor], Any]] = {
    "numpy": lambda x: x.numpy(),
    "tolist": lambda x: x.tolist(),
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool((x > 0).any()),
    "int": lambda x: int(x.argmax()),
    "a boolean index": lambda x: x[x > 0],
    "nonzero": lambda x: x.nonzero(),
    "bincount": lambda x: x.argmax(-1).bincount(minlength=9),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_is_refused(tiny: MaskPredictor, question: str) -> None:
    """The negative controls: a model that asks in its forward does not pass."""

    class Curious(MaskPredictor):
        def hidden(self, batch: Packed) -> Tensor:
            hidden = super().hidden(batch)
            QUESTIONS[question](hidden)
            return hidden

    batch = batch_of(Curious(tiny.model), [Job((1, *holes(4)))])
    with refused():
        on_fakes(batch, batch.rows)


@pytest.mark.skipif(not GROUPED, reason="this torch has no grouped product")
def test_experts_side_by_side_ask_nothing() -> None:
    """The way that CUDA takes, on fakes that say they lie on a CPU."""

    class SideBySide(Experts):
        one_by_one = Experts.grouped

    experts, x = SideBySide(32, MoE(8, 2, 16, shared_d_ff=16)).bfloat16(), torch.zeros(9, 32, dtype=torch.bfloat16)
    with torch.no_grad(), FakeTensorMode() as mode:
        weights = {name: mode.from_tensor(weight) for name, weight in experts.named_parameters()}
        mixed = functional_call(experts, weights, mode.from_tensor(x))
    assert is_fake(mixed) and (mixed.shape, mixed.dtype) == (x.shape, x.dtype)


def test_experts_that_take_turns_are_for_a_cpu(make_transformer: Make) -> None:
    """The named exception: `Experts.one_by_one` asks how many rows each expert has; on CUDA `grouped` does not."""
    model = make_transformer(moe=MoE(8, 2, 16))
    assert any(isinstance(module, Experts) for module in model.model.modules())
    batch = batch_of(model, [Job((1, *holes(4)))])
    with refused():
        on_fakes(batch, batch.rows)


# --- one copy up, one copy down ---


class Copies(TorchFunctionMode):
    """Counts copies between the host and the meta device; whatever is copied down is bytes of 1."""

    def __init__(self) -> None:
        super().__init__()
        self.up = self.down = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.cpu and args[0].is_meta:
            self.down += 1
            return torch.ones(args[0].shape, dtype=args[0].dtype)
        made = func(*args, **(kwargs or {}))
        on_device = isinstance(made, Tensor) and made.is_meta
        if func in (torch.tensor, torch.as_tensor):
            self.up += on_device
        elif func in (Tensor.to, Tensor.copy_):
            self.up += on_device and not args[func is Tensor.copy_].is_meta
        elif func in (Tensor.__getitem__, Tensor.__setitem__) and args[0].is_meta:
            self.up += any(isinstance(part, list | np.ndarray) or is_on_host(part) for part in tree_leaves(args[1:]))
            self.up += any(isinstance(part, list) for part in (args[1] if isinstance(args[1], tuple) else args[1:2]))
        return made


def is_on_host(value: Any) -> bool:
    return isinstance(value, Tensor) and not value.is_meta


def on_meta(model: MaskPredictor) -> MaskPredictor:
    with torch.device("meta"):
        return MaskPredictor(Transformer(model.model.config), eot_ids=model.contract.eot_ids)


MIXED = [
    Recipe(process=Process(temperature=0.5), select=Threshold(0.3)),
    Recipe(process=Process(temperature=0.7), select=Threshold(0.6)),
    Recipe(guidance=Guidance(1.0), cache=Dual(every=2)),
    Recipe(guidance=Guidance(1.5), cache=Delayed(None), rope=Rope("ntk", 4.0)),
    *(recipe_of(name) for name in SHIPPED if recipe_of(name).cache.attention != "block_causal"),
]
BATCHES = {
    "one row": [Job((1, *holes(6)))],
    "rows whose numbers differ": [Job((1, *holes(6 + i)), recipe) for i, recipe in enumerate(MIXED[:2] * 3)],
    "candidates": [Job((1, *holes(6)), candidates=i) for i in range(4)],
    "all recipes": [Job((1, *holes(6 + i)), recipe, candidates=i % 3) for i, recipe in enumerate(MIXED)],
}


@pytest.mark.parametrize("name", BATCHES)
def test_a_step_is_one_copy_up_and_one_down(make_transformer: Make, name: str) -> None:
    """From the second step on: ids that a recipe names are on the device since the first. The rows come twice, so that
    the first step of a recipe counts too."""
    model = on_meta(make_transformer())
    ups = []
    for batch in (batch_of(model, BATCHES[name]), batch_of(model, BATCHES[name])):
        for _ in range(3):
            with Copies() as counted:
                step(batch)
            assert counted.down == 1
            ups.append(counted.up)
            for row in [row for row in batch.rows if row.finish_reason]:
                batch.evict(row)
            if not batch.rows:
                break
    assert ups[0] >= 1 and set(ups[1:]) == {1}


def test_a_copy_is_counted(make_transformer: Make) -> None:
    """The negative control: numbers that a model sends to its device by itself."""

    class Careless(MaskPredictor):
        def hidden(self, batch: Packed) -> Tensor:
            return super().hidden(batch) + torch.tensor([1.0, 2.0], device=self.device).sum()

    batch = batch_of(Careless(on_meta(make_transformer()).model), [Job((1, *holes(6)))])
    ups = []
    for _ in range(2):
        with Copies() as counted:
            step(batch)
        ups.append(counted.up)
    assert ups[1] == 2


def test_rows_of_all_recipes_at_once_ask_nothing(make_transformer: Make) -> None:
    batch = batch_of(make_transformer(editable=True), BATCHES["all recipes"])
    on_fakes(batch, batch.rows)
