"""Laws of the likelihood estimate, on toys whose bound is known in closed form."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from remask.decoding.objective import add_noise, log_likelihood, masked_logits, stratified_counts
from remask.decoding.process import guide
from remask.engine.batch import Batch, lay
from remask.errors import RequestError
from remask.models.contract import Plan
from remask.models.predictor import MaskPredictor
from remask.testing import TOY, Fake, Hashed, Oracle, Scripted
from tests.helpers.jobs import hidden
from tests.helpers.statistics import fits

MASK = TOY.mask_id
PROMPT, ANSWER = [3, MASK, 4], [1, 2, 5, 6, 7, 8, 9]  # a prompt may hold the mask


def independent(confidence: list[float], shift: int = 0) -> Oracle:
    """Each token of the answer has its own probability, whatever else is visible."""
    return Oracle([*PROMPT, *ANSWER], [0.5] * len(PROMPT) + confidence, replace(TOY, shift=shift))


@pytest.mark.parametrize("shift", [0, 1])
def test_equal_independent_positions_give_the_exact_log_probability_in_every_sample(shift: int) -> None:
    told = log_likelihood(independent([0.3] * 7, shift), PROMPT, ANSWER, samples=24)
    assert told.log_likelihood == pytest.approx(7 * math.log(0.3), rel=1e-5)
    assert told.standard_error == pytest.approx(0.0, abs=1e-5)
    assert (told.samples, told.tokens) == (24, 7)


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_independent_positions_give_the_exact_log_probability_within_the_error(seed: int, shift: int) -> None:
    confidence = [0.9, 0.05, 0.5, 0.7, 0.2, 0.99, 0.4]
    told = log_likelihood(independent(confidence, shift), PROMPT, ANSWER, samples=256, seed=seed)
    exact = sum(math.log(p) for p in confidence)
    assert 0 < told.standard_error < 0.5
    assert abs(told.log_likelihood - exact) < 4 * told.standard_error


def test_the_standard_error_is_about_the_spread_of_the_estimate() -> None:
    confidence = [0.9, 0.05, 0.5, 0.7, 0.2, 0.99, 0.4]
    runs = [log_likelihood(independent(confidence), PROMPT, ANSWER, samples=32, seed=seed) for seed in range(40)]
    spread = np.std([told.log_likelihood for told in runs])
    claimed = np.mean([told.standard_error for told in runs])
    assert 0.5 * claimed < spread < 1.5 * claimed


def sinking(position: int, tokens: Tensor) -> Tensor:
    """The right token has probability 1 / (1 + l) when l positions of the answer are masked."""
    share = 1.0 / (1 + int((tokens[len(PROMPT) :] == MASK).sum()))
    shares = torch.full((16,), (1 - share) / 15)
    shares[([*PROMPT, *ANSWER])[position]] = share
    return shares.log()


def test_the_bound_weighs_every_number_of_masks_alike() -> None:
    """-E[L/l · Σ CE] with l uniform is -Σ_l CE(l), here -Σ ln(1 + l); a batch of L samples has each l once."""
    exact = -sum(math.log(1 + masked) for masked in range(1, 8))
    told = log_likelihood(Scripted(sinking), PROMPT, ANSWER, samples=7, batch=7)
    assert told.log_likelihood == pytest.approx(exact, rel=1e-5)
    rough = log_likelihood(Scripted(sinking), PROMPT, ANSWER, samples=200, batch=5)
    assert abs(rough.log_likelihood - exact) < 4 * rough.standard_error


def test_one_token_is_scored_exactly_by_one_sample() -> None:
    told = log_likelihood(Oracle([1, 2], 0.25), [1], [2], samples=1)
    assert told.log_likelihood == pytest.approx(math.log(0.25), rel=1e-5)
    assert math.isnan(told.standard_error)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_guidance_scores_the_guided_distribution(scale: float) -> None:
    conditional, other = torch.linspace(-1, 1, 16), torch.linspace(2, -2, 16)

    def script(position: int, tokens: Tensor) -> Tensor:
        return conditional if tokens[0] == 3 else other

    exact = guide(conditional, other, scale).log_softmax(0)[ANSWER].sum()
    equal = [ANSWER[0]] * 7
    told = log_likelihood(Scripted(script), PROMPT, equal, samples=8, cfg_scale=scale)
    assert told.log_likelihood == pytest.approx(7 * float(guide(conditional, other, scale).log_softmax(0)[1]), rel=1e-5)
    mixed = log_likelihood(Scripted(script), PROMPT, ANSWER, samples=256, cfg_scale=scale)
    assert abs(mixed.log_likelihood - float(exact)) < 4 * mixed.standard_error


def test_the_seed_decides_and_the_same_one_gives_the_same_number() -> None:
    one, again, other = (log_likelihood(Hashed(), PROMPT, ANSWER, samples=8, seed=seed) for seed in (0, 0, 1))
    assert one == again and one.log_likelihood != other.log_likelihood


def test_a_transformer_is_scored_like_any_other(tiny: MaskPredictor) -> None:
    told = log_likelihood(tiny, [3, 1], [5, 6, 7], samples=48)
    halves = [log_likelihood(tiny, [3, 1], [5, 6, 7], samples=48, batch=batch) for batch in (1, 7)]
    for half in halves:
        error = math.hypot(told.standard_error, half.standard_error)
        assert abs(told.log_likelihood - half.log_likelihood) < 4 * error


# --- what is masked ---


class Watched(Fake):
    """Keeps what each forward was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[int]] = []

    def logits(self, hidden: Tensor) -> Tensor:
        self.seen += hidden[:, 1 : 1 + len(PROMPT) + len(ANSWER)].tolist()
        return super().logits(hidden)


def test_the_prompt_is_never_masked_and_the_answer_is_never_changed() -> None:
    spy = Watched()
    log_likelihood(spy, PROMPT, ANSWER, samples=40)
    assert spy.seen
    for row in spy.seen:
        assert row[:3] == PROMPT
        assert all(shown in (token, MASK) for shown, token in zip(row[3:], ANSWER, strict=True))
        assert MASK in row[3:]


def test_under_guidance_the_second_stream_sees_no_prompt() -> None:
    spy = Watched()
    log_likelihood(spy, PROMPT, ANSWER, samples=4, cfg_scale=1.0)
    prompts = {tuple(row[:3]) for row in spy.seen}
    assert prompts == {tuple(PROMPT), (MASK,) * 3}


@given(st.integers(1, 40), st.integers(1, 64), st.integers(0, 10_000))
def test_a_batch_of_counts_covers_its_range_evenly(length: int, rows: int, seed: int) -> None:
    counts = stratified_counts(torch.full((rows,), length), torch.Generator().manual_seed(seed))
    assert int(counts.min()) >= 1 and int(counts.max()) <= length
    share = torch.bincount(counts, minlength=length + 1)[1:]
    assert int(share.max()) <= -(-rows // length) + 1 and int(share.min()) >= rows // length - 1


@pytest.mark.parametrize("rows", [1, 3, 5, 16])
def test_each_row_alone_is_uniform_on_1_to_its_length(rows: int) -> None:
    counts = torch.zeros(9)
    for seed in range(3000 // rows):
        drawn = stratified_counts(torch.full((rows,), 9), torch.Generator().manual_seed(seed))
        counts += torch.bincount(drawn, minlength=10)[1:]
    assert fits(counts.numpy(), np.ones(9))
    last = [int(stratified_counts(torch.full((rows,), 9), torch.Generator().manual_seed(s))[-1]) for s in range(1500)]
    assert fits(np.bincount(last, minlength=10)[1:], np.ones(9))


@given(st.lists(st.lists(st.booleans(), min_size=8, max_size=8), min_size=1, max_size=5), st.data())
def test_noise_masks_exactly_so_many_of_the_maskable(rows: list[list[bool]], data: st.DataObject) -> None:
    maskable = torch.tensor(rows)
    counts = torch.tensor([data.draw(st.integers(0, sum(row))) for row in rows])
    tokens = torch.arange(8).repeat(len(rows), 1)
    noised = add_noise(tokens, maskable, counts, MASK, torch.Generator().manual_seed(0))
    assert torch.equal(noised.masked.sum(1), counts) and not (noised.masked & ~maskable).any()
    assert torch.equal(noised.tokens, torch.where(noised.masked, MASK, tokens))
    assert torch.equal(noised.clean, tokens) and torch.equal(tokens[0], torch.arange(8))


def test_every_position_is_masked_equally_often() -> None:
    many = 4000
    noised = add_noise(
        torch.zeros(many, 6, dtype=torch.long),
        torch.tensor([True, False, True, True, True, True]).repeat(many, 1),
        torch.full((many,), 2),
        MASK,
        torch.Generator().manual_seed(0),
    )
    assert fits(noised.masked.sum(0).numpy(), [1, 0, 1, 1, 1, 1])
    pairs = noised.masked[:, [0, 2, 3, 4, 5]].long() @ torch.tensor([1, 2, 4, 8, 16])
    assert fits(list(torch.bincount(pairs).numpy()[[3, 5, 6, 9, 10, 12, 17, 18, 20, 24]]), np.ones(10))


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"answer": []}, "answer to score is empty"),
        ({"samples": 0}, "samples and batch must be at least 1, got 0 and 16"),
        ({"batch": 0}, "got 128 and 0"),
        ({"answer": [1] * 62}, "have 65 tokens, the context is 64"),
    ],
)
def test_what_cannot_be_scored_is_refused(wrong: dict[str, object], reason: str) -> None:
    options: dict[str, object] = {"prompt": PROMPT, "answer": ANSWER, **wrong}
    with pytest.raises(RequestError, match=reason):
        log_likelihood(Hashed(), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("shift", [0, 1])
def test_a_block_causal_model_is_scored_as_it_decodes(
    make_transformer: Callable[..., MaskPredictor], shift: int
) -> None:
    """A noised block after clean ones: the logits are those of a decoding step that has finished the blocks before."""
    model = make_transformer(attention="block_causal", block_size=4, shift=shift)
    generator = torch.Generator().manual_seed(3)
    clean = torch.randint(0, 20, (3, 14), generator=generator)
    maskable = torch.arange(14).expand(3, 14) >= 2
    noised = add_noise(clean, maskable, torch.tensor([12, 5, 7]), model.contract.mask_id, generator)
    together = masked_logits(model, [noised], shift, 4)
    expected = []
    for row, place in noised.masked.nonzero().tolist():
        begins = place // 4 * 4
        seen = torch.cat((clean[row, :begins], noised.tokens[row, begins:])).numpy()
        here, everything = np.array([place]), np.arange(14)
        plan = Plan(seen[None], everything, here, model.contract.source(here))
        laid = lay(Batch(model), [plan])
        expected.append(model.logits(hidden(model, laid, laid.where[0][0]))[0])
    torch.testing.assert_close(together, torch.stack(expected), atol=1e-5, rtol=0)
    plain = masked_logits(model, [noised], shift)
    assert (plain - together).abs().max() > 1e-2  # the control: blocks after noised ones say something else


def test_nan_is_no_likelihood() -> None:
    class Broken(Fake):
        def at(self, position: int, tokens: Tensor) -> Tensor:
            return torch.full((16,), math.nan)

    with pytest.raises(RequestError, match="NaN"):
        log_likelihood(Broken(), [1], [2, 3], samples=4)


def test_guidance_where_one_stream_rules_a_token_out() -> None:
    out = -math.inf
    conditional, unconditional = torch.tensor([[1.0, 2.0, out, out]]), torch.tensor([[0.5, out, 1.0, out]])
    assert guide(conditional, unconditional, 2.0).tolist() == [[2.0, 2.0, out, out]]
