"""Laws of the canvas axis: what exists for the network, what is thinned out, and how a canvas grows."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from remask.decoding.blocks import Blocks, Whole
from remask.decoding.caches import Dual
from remask.decoding.canvas import Canvas, Full, Growing, Lookahead, Suffix
from remask.decoding.recipe import Recipe
from remask.errors import RecipeError
from remask.exactness import Exactness
from remask.testing import TOY, Hashed, Scripted
from tests.helpers.jobs import Job, alone, holes, tokens
from tests.helpers.strategies import EOS


def test_a_suffix_thins_out_and_ends_and_is_the_same_each_time() -> None:
    canvas, window = Canvas.after([1, 2, 3], 300, 15), np.arange(3, 35)
    kept = Suffix().positions(canvas, window)
    behind = kept[kept > 34] - 34
    assert kept[:35].tolist() == list(range(35)) and behind.max() < 128
    counts = [np.count_nonzero((behind > a) & (behind <= a + 32)) for a in (0, 32, 64, 96)]
    assert counts == sorted(counts, reverse=True) and counts[0] > 10 and counts[2] < 6
    assert (Suffix().positions(canvas, window) == kept).all()


def test_a_suffix_keeps_what_is_given_or_decided_behind_the_window() -> None:
    canvas = Canvas.template([1, *holes(4), 2, *holes(200), 3], 15)
    kept = Suffix(reach=8).positions(canvas, np.arange(1, 5))
    assert {0, 1, 2, 3, 4, 5, 206} <= set(kept.tolist()) and len(kept) < 20


def foresees(length: int) -> Callable[[int, Tensor], Tensor]:
    """A text of so many tokens; whatever comes after is the end, if the model can see so far."""

    def script(position: int, seen: Tensor) -> Tensor:
        logits = torch.zeros(16)
        logits[EOS if position > length else 1 + position % 5] = 9.0
        return logits

    return script


@pytest.mark.parametrize("cache", [None, Dual()])
@pytest.mark.parametrize(("length", "exist"), [(2, 8), (9, 16), (21, 24), (100, 40)])
def test_a_canvas_grows_until_its_tail_foresees_the_end(length: int, exist: int, cache: Dual | None) -> None:
    growing = Growing(first=8, step=8, confidence=0.5, tail=4)
    recipe = Recipe(canvas=growing, blocks=Blocks(8), **({} if cache is None else {"cache": cache}))
    row, steps = alone(Scripted(foresees(length)), Job((1, *holes(40)), recipe, stop_ids=(EOS,)))
    assert row.horizon == 1 + exist
    idle = [step for step in steps if not step.changes]
    assert len(idle) == (exist - 8) // 8 and idle == steps[: len(idle)]
    if length < 40:
        assert row.finish_reason == "stop" and row.end == length + 1
        assert all(c.position <= exist for step in steps for c in step.changes)
    else:
        assert row.finish_reason == "length"


def test_what_does_not_exist_yet_is_not_computed() -> None:
    sizes = []

    class Spy(Scripted):
        def hidden(self, batch):  # type: ignore[no-untyped-def]
            sizes.append(len(batch.tokens))
            return super().hidden(batch)

    alone(Spy(foresees(3)), Job((1, *holes(60)), Recipe(canvas=Growing(8, 8), blocks=Blocks(8)), stop_ids=(EOS,)))
    assert max(sizes) == 9


def test_a_canvas_that_never_foresees_the_end_is_the_full_one() -> None:
    told = [
        alone(Hashed(3), Job((1, *holes(12)), Recipe(canvas=canvas, blocks=Whole())))[0]
        for canvas in (Growing(4, 4, 1.0), Full())
    ]
    assert tokens(told[0]) == tokens(told[1]) and told[0].forwards == told[1].forwards + 2


def test_what_a_canvas_cannot_be_is_refused() -> None:
    for wrong in (lambda: Growing(0), lambda: Growing(step=0), lambda: Growing(confidence=2), lambda: Suffix(0)):
        with pytest.raises(RecipeError, match="canvas"):
            wrong()
    for shown in (Growing(), Suffix(), Lookahead()):
        assert Recipe(canvas=shown).fit(TOY, 16).exactness is Exactness.OTHER_CANVAS
