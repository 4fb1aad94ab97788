"""Laws of scores and of what changes the logits: a float64 softmax is the reference."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding.blocks import Whole
from remask.decoding.confidence import CONFIDENCES, Confidence, score
from remask.decoding.process import Compat, Guidance, Process, guide, suppress
from remask.decoding.recipe import Recipe
from remask.decoding.selection import Threshold
from remask.errors import RecipeError
from remask.testing import TOY, Hashed, Oracle, Scripted
from tests.helpers.jobs import Job, alone, decisions, holes

EOS, EOT, MASK = TOY.eos_ids[0], TOY.eot_ids[0], TOY.mask_id

numbers = st.one_of(st.floats(-30, 30, width=32), st.sampled_from([-math.inf, 1e4, -1e4, 0.0]))
rows = st.lists(numbers, min_size=2, max_size=20).filter(lambda row: max(row) > -math.inf)


def reference(row: list[float], guess: int, by: Confidence, uniform: float) -> tuple[float, float]:
    logits = torch.tensor(row, dtype=torch.float64)
    probability = logits.softmax(0)
    best = probability.sort(descending=True).values
    confidence = {
        "probability": float(probability[guess]),
        "margin": float(best[0] - best[1]),
        "entropy": float(torch.special.xlogy(probability, probability).sum()),
        "random": uniform,
    }[by]
    return confidence, float(logits.log_softmax(0)[guess])


@given(st.lists(rows, min_size=1, max_size=4), st.sampled_from(CONFIDENCES), st.data())
def test_scores_are_those_of_a_double_precision_softmax(
    table: list[list[float]], by: Confidence, data: st.DataObject
) -> None:
    width = min(len(row) for row in table)
    table = [sorted(row, reverse=True)[:width] for row in table]  # the largest first: never all -inf
    guesses = [data.draw(st.integers(0, width - 1)) for _ in table]
    uniform = torch.rand(len(table), generator=torch.Generator().manual_seed(0))
    scored = score(torch.tensor(table), torch.tensor(guesses), torch.zeros(len(table), dtype=torch.long), by, uniform)
    for i, (row, guess) in enumerate(zip(table, guesses, strict=True)):
        confidence, logprob = reference(row, guess, by, float(uniform[i]))
        assert float(scored.confidence[i]) == pytest.approx(confidence, abs=2e-6)
        assert float(scored.logprob[i]) == pytest.approx(logprob, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("by", CONFIDENCES)
def test_scores_of_ordinary_logits(by: Confidence) -> None:
    table = torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    guesses, uniform = torch.arange(50) % 30, torch.linspace(0, 1, 50)
    scored = score(table, guesses, table.argmax(1), by, uniform)
    for i, row in enumerate(table.tolist()):
        confidence, logprob = reference(row, int(guesses[i]), by, float(uniform[i]))
        assert float(scored.confidence[i]) == pytest.approx(confidence, rel=1e-4)
        assert float(scored.logprob[i]) == pytest.approx(logprob, rel=1e-4)


@pytest.mark.parametrize("by", CONFIDENCES)
def test_scores_of_extreme_logits_are_numbers(by: Confidence) -> None:
    logits = torch.tensor([[1e38, -1e38, 0.0], [3e38, 3e38, -torch.inf], [-3e38, -torch.inf, -torch.inf]])
    scored = score(logits, torch.tensor([0, 1, 0]), logits.argmax(1), by, torch.full((3,), 0.5))
    assert scored.confidence.isfinite().all()
    torch.testing.assert_close(scored.logprob, torch.tensor([0.0, math.log(0.5), 0.0]))


@pytest.mark.parametrize("by", CONFIDENCES)
def test_a_broken_row_does_not_spoil_the_scores_of_others(by: Confidence) -> None:
    good = torch.tensor([[1.0, 2.0, 0.5]])
    bad = torch.tensor([[math.nan, 1.0, 0.0], [math.inf, 1.0, 0.0], [-math.inf] * 3])
    uniform = torch.full((4,), 0.25)
    table = torch.cat((bad, good))
    mixed = score(table, torch.tensor([0, 0, 0, 1]), table.argmax(1), by, uniform)
    single = score(good, torch.tensor([1]), good.argmax(1), by, uniform[:1])
    assert torch.equal(mixed.confidence[3:], single.confidence) and torch.equal(mixed.logprob[3:], single.logprob)


def test_larger_always_means_surer() -> None:
    """The one-hot row is the surest, the flat one the least, whatever is measured."""
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [4.0, 0.0, 0.0, 0.0], [90.0, 0.0, 0.0, 0.0]])
    for by in ("probability", "margin", "entropy"):
        confidence = score(logits, torch.zeros(4, dtype=torch.long), logits.argmax(1), by, torch.zeros(4)).confidence
        assert (confidence.diff() > 0).all()


# --- guidance and suppression ---


@given(rows, st.sampled_from([0.0, 0.5, 2.0]))
def test_guidance_is_the_published_combination(row: list[float], scale: float) -> None:
    conditional, other = torch.tensor([row]), torch.tensor([row[::-1]])
    guided = guide(conditional, other, scale)[0]
    for c, u, mine in zip(conditional[0].tolist(), other[0].tolist(), guided.tolist(), strict=True):
        if c == -math.inf:
            assert mine == -math.inf
        elif u > -math.inf:
            assert mine == pytest.approx(u + (scale + 1) * (c - u), rel=1e-5, abs=1e-2)


def test_where_both_streams_say_never_guidance_says_never() -> None:
    c, u = torch.tensor([[-torch.inf, 1.0, -torch.inf]]), torch.tensor([[-torch.inf, 2.0, 3.0]])
    assert guide(c, u, 1.0).tolist() == [[-math.inf, 0.0, -math.inf]]


def test_guidance_of_0_is_the_conditional_stream() -> None:
    c, u = torch.randn(3, 9), torch.randn(3, 9)
    torch.testing.assert_close(guide(c, u, 0.0), c)


def test_suppression_touches_its_columns_alone() -> None:
    logits = torch.arange(12.0).view(3, 4)
    suppressed = suppress(logits, torch.tensor([1, 3]))
    assert torch.isneginf(suppressed[:, [1, 3]]).all() and torch.equal(suppressed[:, [0, 2]], logits[:, [0, 2]])
    assert torch.isfinite(logits).all()  # the argument stays as it was
    assert torch.equal(suppress(logits, torch.tensor([], dtype=torch.long)), logits)


def constant(logits: Tensor) -> Scripted:
    return Scripted(lambda position, tokens: logits.clone())


def first_guess(logits: Tensor, process: Process, scale: float = 0.0) -> tuple[int, float]:
    recipe = Recipe(process=process, guidance=Guidance(scale))
    guess = alone(constant(logits), Job((1, None), recipe))[1][0].guesses[0]
    return guess.token, guess.confidence


LOGITS = torch.linspace(-1, 2, 16)  # the mask is the likeliest, then EOS, then end-of-turn


def test_forbidden_ids_stay_in_the_normaliser_and_suppressed_ones_leave_it() -> None:
    token, confidence = first_guess(LOGITS, Process())
    assert (token, confidence) == (14, pytest.approx(float(LOGITS.softmax(0)[14])))
    token, confidence = first_guess(LOGITS, Process(suppress=(14, 3)))
    kept = LOGITS.clone()
    kept[[3, 14]] = -torch.inf
    assert (token, confidence) == (13, pytest.approx(float(kept.softmax(0)[13])))


def test_suppression_comes_after_guidance() -> None:
    assert first_guess(LOGITS, Process(suppress=(14, 13)), scale=2.0)[0] == 12


@pytest.mark.parametrize("ids", [(16,), (-1,)])
def test_suppressing_what_the_vocabulary_lacks_is_refused(ids: tuple[int, ...]) -> None:
    with pytest.raises(RecipeError, match=f"id {ids[0]}, the vocabulary has 16"):
        Job((1, None), Recipe(process=Process(suppress=ids))).row()


def test_the_likeliest_tokens_are_told_when_asked_for() -> None:
    _, steps = alone(constant(LOGITS), Job((1, None), candidates=3))
    told = steps[0].candidates[1]
    assert [candidate.token for candidate in told] == [15, 14, 13]
    assert [c.probability for c in told] == pytest.approx(LOGITS.softmax(0)[[15, 14, 13]].tolist())
    assert alone(constant(LOGITS), Job((1, None)))[1][0].candidates == {}


# --- LLaDA's switches for the end of text ---


def test_logits_eos_inf_never_guesses_the_end_and_does_not_count_it() -> None:
    token, confidence = first_guess(LOGITS, Process(logits_eos_inf=True))
    kept = LOGITS.clone()
    kept[EOS] = -torch.inf
    assert (token, confidence) == (EOT, pytest.approx(float(kept.softmax(0)[EOT])))


ENDING = Oracle([1, EOS, 3, EOT, 5, 6, 7], [0.0, 0.99, 0.5, 0.98, 0.7, 0.6, 0.4])


@pytest.mark.parametrize("temperature", [0.0, 1e-4])
def test_endings_are_guessed_as_usual_and_committed_last(temperature: float) -> None:
    job = Job((1, *holes(6)), Recipe(blocks=Whole()))
    _, usual = alone(ENDING, job)
    process = Process(confidence_eos_eot_inf=True, temperature=temperature)
    _, last = alone(ENDING, Job(job.template, Recipe(blocks=Whole(), process=process)))
    assert [made.changes[0].position for made in usual] == [1, 3, 4, 5, 2, 6]
    assert [made.changes[0].position for made in last] == [4, 5, 2, 6, 1, 3]
    first, second = usual[0].guesses, last[0].guesses
    assert [guess.token for guess in first] == [guess.token for guess in second]
    assert [guess.logprob for guess in first] == pytest.approx([guess.logprob for guess in second])
    assert [guess.confidence for guess in second if guess.token in (EOS, EOT)] == [-math.inf] * 2


def test_endings_that_rank_last_wait_also_for_a_threshold() -> None:
    process = Process(confidence_eos_eot_inf=True)
    recipe = Recipe(blocks=Whole(), process=process, select=Threshold(0.0))
    _, steps = alone(ENDING, Job((1, *holes(6)), recipe))
    assert [[change.position for change in made.changes] for made in steps] == [[2, 4, 5, 6], [1], [3]]


def authors_confidence(logits: Tensor, guess: int, temperature: float) -> float:
    """What LLaDA's generate.py ranks by with its switch on: at T = 0 its line 97 writes into the very tensor that it
    scores, so both endings leave it; above, the noisy copy takes the EOS, and the end-of-turn alone leaves."""
    kept = logits.double().clone()
    kept[[EOS, EOT] if temperature == 0 else [EOT]] = -torch.inf
    return float(kept.softmax(0)[guess])


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_compat_llada_ranks_as_the_authors_code_does(temperature: float) -> None:
    process = Process(confidence_eos_eot_inf=True, compat="llada", temperature=temperature)
    plain = Process(temperature=temperature)
    endings = 0
    for seed in range(12):
        table = torch.randn(9, 16, generator=torch.Generator().manual_seed(seed)) + 2.0 * (torch.arange(16) > 11)
        model = Scripted(lambda position, tokens, table=table: table[position])  # type: ignore[misc]
        _, mine = alone(model, Job((1, *holes(8)), Recipe(blocks=Whole(), process=process), seed))
        _, theirs = alone(model, Job((1, *holes(8)), Recipe(blocks=Whole(), process=plain), seed))
        guesses = mine[0].guesses
        assert [guess.token for guess in guesses] == [guess.token for guess in theirs[0].guesses]
        for guess in guesses:
            expected = authors_confidence(table[guess.position], guess.token, temperature)
            assert guess.confidence == pytest.approx(expected, abs=1e-6)
            endings += guess.token in (EOS, EOT)
        ranked = sorted(guesses, key=lambda guess: (-guess.confidence, guess.position))
        assert mine[0].changes[0].position == ranked[0].position
    assert endings > 10


def test_the_two_meanings_differ() -> None:
    told = {
        compat: decisions(
            alone(
                Hashed(3, 1.0),
                Job(
                    (1, *holes(12)),
                    Recipe(process=Process(temperature=0.9, confidence_eos_eot_inf=True, compat=compat)),
                ),
            )[1]
        )
        for compat in get_args(Compat)
    }
    assert told["intended"] != told["llada"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1.0},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_k": 0},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_p": math.nan},
        {"compat": "both"},
    ],
)
def test_a_process_out_of_range_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=next(iter(wrong))):
        Process(**wrong)  # type: ignore[arg-type]
