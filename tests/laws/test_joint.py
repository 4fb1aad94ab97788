"""Laws of the joint proposal: tables of token classes, exact guesses and confidences, answers that keep the rule."""

import itertools
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, composite
from torch import Tensor

from remask.decoding import joint, noise
from remask.decoding.blocks import Whole
from remask.decoding.classes import ClassTables, ReadClasses, TokenClasses
from remask.decoding.joint import JointRow, JointWindow
from remask.decoding.process import Process
from remask.decoding.propose import draw, perturbed
from remask.decoding.recipe import Recipe
from remask.decoding.revision import Edit
from remask.decoding.scan import Reads, Seen, join, scan
from remask.decoding.selection import Threshold
from remask.decoding.settle import Changes
from remask.engine.batch import Batch
from remask.engine.engine import Engine
from remask.engine.memory import footprint, peak_bytes
from remask.engine.part import partition
from remask.engine.requests import Request
from remask.engine.step import step
from remask.errors import RequestError
from remask.testing import TOY, Hashed, Uniform
from tests.helpers.chain import Chain
from tests.helpers.jobs import Job, alone, bits, decisions, holes, run
from tests.helpers.statistics import fits
from tests.helpers.strategies import jobs, models

NO_TWINS = [[a != b for b in range(3)] for a in range(3)]  # no two equal neighbours
SORTED = [[a <= b for b in range(3)] for a in range(3)]
ANYTHING = [[True]]
THIRDS = [token % 3 for token in range(TOY.vocab_size)]
OPEN = replace(TOY, forbidden=())
GREEDY = Process()

rules = st.sampled_from([NO_TWINS, SORTED])


def keys(seed: int, count: int) -> Tensor:
    return torch.from_numpy(noise.keys(seed, 0, np.arange(count)).view(np.int64))


def logits_of(seed: int, rows: int, vocabulary: int) -> Tensor:
    return 2 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(seed))


def look(logits: Tensor, classes: TokenClasses | None, process: Process = GREEDY, seed: int = 0) -> Seen:
    """A scan of these logits, with no id forbidden."""
    asked = None if classes is None else ReadClasses(((0, len(logits), classes),), classes.count)
    reads = Reads(keys(seed, len(logits)) if process.temperature else None, classes=asked)
    contract = replace(OPEN, vocab_size=logits.shape[1])
    return scan(torch.clone, logits[None], reads, Recipe(process=process), contract)


def tables_of(seen: Seen) -> ClassTables:
    assert seen.tables is not None
    return seen.tables


@composite
def partitions(draw: DrawFn) -> TokenClasses:
    """Classes of every mix of sizes: from one class to one for each token."""
    count = draw(st.integers(1, 12))
    rest = draw(st.lists(st.sampled_from([0, 0, 0, *range(count)]), max_size=50))
    return TokenClasses(torch.tensor(draw(st.permutations([*range(count), *rest]))))


# --- the scan's tables ---


@given(partitions(), st.integers(0, 999), st.sampled_from([0.0, 0.3, 1.0, 4.0]))
def test_tables_are_the_maximum_its_token_and_the_logsumexp_of_each_class(
    classes: TokenClasses, seed: int, temperature: float
) -> None:
    logits = logits_of(seed, 10, len(classes.of))
    tables = tables_of(look(logits, classes, Process(temperature=temperature), seed))
    noisy = logits
    if temperature:
        noisy = torch.cat([rows for _, rows in perturbed(logits, temperature, keys(seed, 10))])
    for which in range(classes.count):
        members = (classes.of == which).nonzero()[:, 0]
        assert torch.equal(tables.best[:, which], noisy[:, members].amax(1))
        assert torch.equal(tables.token[:, which], members[noisy[:, members].argmax(1)])
        share = logits.double().log_softmax(1)[:, members].logsumexp(1)
        torch.testing.assert_close(tables.share[:, which].double(), share, atol=1e-5, rtol=1e-5)
        weight = (logits.double() / (temperature or 1)).log_softmax(1)[:, members].logsumexp(1)
        normal = tables.weight.double().log_softmax(1)[:, which]
        torch.testing.assert_close(normal, weight, atol=1e-4, rtol=1e-4)
    chosen = logits.double().log_softmax(1).gather(1, tables.token)
    torch.testing.assert_close(tables.logprob.double(), chosen, atol=1e-5, rtol=1e-5)


@given(
    partitions(),
    st.integers(0, 999),
    st.sampled_from([0.0, 0.7]),
    st.sampled_from([None, 1, 3]),
    st.sampled_from([None, 0.5]),
)
def test_the_best_over_all_classes_is_the_draw(
    classes: TokenClasses, seed: int, temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits, process = logits_of(seed, 10, len(classes.of)), Process(temperature, top_k, top_p)
    independent = look(logits, None, process, seed)
    tables = tables_of(look(logits, classes, process, seed))
    best = tables.token.gather(1, tables.best.argmax(1, keepdim=True))[:, 0]
    assert torch.equal(best, independent.guess)
    if temperature and top_k is top_p is None:
        assert torch.equal(best, draw(logits, temperature, keys(seed, 10)))


@given(partitions(), st.integers(0, 999), st.integers(1, 9), st.sampled_from([0.0, 0.7]))
def test_chunks_and_neighbours_change_no_table(classes: TokenClasses, seed: int, cut: int, temperature: float) -> None:
    logits, single = logits_of(seed, 10, len(classes.of)), TokenClasses(torch.zeros(len(classes.of), dtype=torch.int64))
    asked = ReadClasses(((2, 6, classes), (8, 10, single)), classes.count)
    reads = Reads(keys(seed, 10) if temperature else None, classes=asked)
    recipe, contract = Recipe(process=Process(temperature)), replace(OPEN, vocab_size=logits.shape[1])
    whole = scan(torch.clone, logits[None], reads, recipe, contract)
    chunks = [slice(start, start + cut) for start in range(0, 10, cut)]
    joined = join([scan(torch.clone, logits[None, rows], reads.cut(rows), recipe, contract) for rows in chunks])
    for name in ("best", "token", "logprob", "share", "weight"):
        mine, theirs = (getattr(tables_of(seen), name)[2:6] for seen in (whole, joined))
        assert torch.equal(mine, theirs)
        if not temperature:
            alone = getattr(tables_of(look(logits[2:6], classes)), name)
            assert torch.equal(mine, alone)
    plain = scan(torch.clone, logits[None], replace(reads, classes=None), recipe, contract)
    assert torch.equal(whole.guess, plain.guess)
    assert torch.equal(whole.confidence, plain.confidence)


@pytest.mark.parametrize(
    ("of", "message"),
    [
        (list(range(513)), "there are 513 token classes, at most 512 fit"),
        ([0, 2, 2], "token class 1 of 3 has no token"),
        ([0, -1], "a row (V,) of whole numbers from 0"),
        ([], "a row (V,) of whole numbers from 0"),
    ],
)
def test_a_partition_that_cannot_be_is_refused(of: list[int], message: str) -> None:
    with pytest.raises(RequestError, match="class") as refusal:
        TokenClasses(torch.tensor(of, dtype=torch.int64))
    assert message in str(refusal.value)


def test_classes_of_another_vocabulary_are_refused() -> None:
    with pytest.raises(RequestError, match="divide 3 tokens, and the vocabulary has 16"):
        Engine(Uniform()).submit(Request((1, None), proposer=Chain([0, 0, 0], ANYTHING)))


# --- a chain against brute force ---


@composite
def windows(draw: DrawFn) -> tuple[JointRow, Seen]:
    """A chain over a canvas of at most 8, with pinned, free and read positions, some of the reads pinned too."""
    count, length, tokens = draw(st.integers(1, 3)), draw(st.integers(1, 8)), draw(st.sampled_from([3, 5]))
    pairs = st.lists(st.booleans(), min_size=count, max_size=count)
    rest = draw(st.lists(st.integers(0, count - 1), min_size=tokens - count, max_size=tokens - count))
    chain = Chain([*range(count), *rest], draw(st.lists(pairs, min_size=count, max_size=count)))
    canvas = torch.tensor(draw(st.lists(st.integers(0, tokens - 1), min_size=length, max_size=length)))
    decided = torch.tensor(draw(st.lists(st.sampled_from([False, False, True]), min_size=length, max_size=length)))
    most = 6 if tokens == 3 else 4
    position = torch.tensor(sorted(draw(st.sets(st.integers(0, length - 1), min_size=1, max_size=most))))
    assume(chain.completable(canvas.numpy(), decided.numpy()))
    seen = look(logits_of(draw(st.integers(0, 999)), len(position), tokens), chain.classes)
    return row_of(chain, canvas, decided, position), seen


def row_of(chain: Chain, canvas: Tensor, decided: Tensor, position: Tensor, temperature: float = 0.0) -> JointRow:
    committed = decided[position]
    return JointRow(chain, slice(0, len(position)), position, committed, canvas, decided, temperature)


def sequences(row: JointRow, chain: Chain) -> list[tuple[int, ...]]:
    """Every sequence of tokens (W,) at the reads that leaves the canvas completable."""
    good = []
    position, canvas, pinned = row.position.numpy(), row.tokens.numpy(), row.decided.numpy().copy()
    options = [[canvas[at]] if pinned[at] else range(len(chain.classes.of)) for at in position]
    pinned[position] = True
    for tokens in itertools.product(*options):
        filled = canvas.copy()
        filled[position] = tokens
        if chain.completable(filled, pinned):
            good.append(tuple(int(token) for token in tokens))
    return good


def chances(logits: Tensor, row: JointRow, good: list[tuple[int, ...]]) -> npt.NDArray[Any]:
    """The probability of each sequence: the product of those of its open tokens, normalised."""
    logprob = logits.double().log_softmax(1)
    at = (~row.decided[row.position]).nonzero()[:, 0]
    logs = torch.stack([logprob[at, torch.tensor(tokens)[at]].sum() for tokens in good])
    return np.asarray(logs.softmax(0).numpy())


@given(windows(), st.integers(0, 999))
def test_at_temperature_0_the_guess_is_the_likeliest_sequence_and_the_confidence_its_exact_marginal(
    drawn: tuple[JointRow, Seen], seed: int
) -> None:
    row, _ = drawn
    chain: Any = row.proposer
    logits = logits_of(seed, len(row.position), len(chain.classes.of))
    made = joint.propose(look(logits, chain.classes), [row], Recipe(), OPEN)
    good = sequences(row, chain)
    odds = chances(logits, row, good)
    fixed = row.decided[row.position]
    guess = tuple(torch.where(fixed, row.tokens[row.position], made.guess).tolist())
    assert odds[good.index(guess)] == pytest.approx(odds.max(), rel=1e-5)
    for i in (~fixed).nonzero()[:, 0].tolist():
        marginal = sum(p for tokens, p in zip(good, odds, strict=True) if tokens[i] == guess[i])
        assert float(made.confidence[i]) == pytest.approx(marginal, abs=1e-5)
        assert float(made.logprob[i]) == pytest.approx(float(logits.log_softmax(1)[i, guess[i]]), abs=1e-5)
    assert made.healthy.all()


@pytest.mark.parametrize("allowed", [NO_TWINS, SORTED], ids=["no twins", "sorted"])
@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_above_temperature_0_sequences_are_drawn_as_often_as_they_are_likely(
    allowed: list[list[bool]], temperature: float
) -> None:
    draws, chain = 3_000, Chain([0, 1, 2, 0, 1], allowed)
    canvas, decided = torch.tensor([4, 0, 0, 0, 0]), torch.tensor([True, False, False, False, False])
    row = row_of(chain, canvas, decided, torch.tensor([1, 2, 4]), temperature)  # pinned, read, read, free, read
    logits = logits_of(3, 3, 5)
    tables = tables_of(look(logits.repeat(draws, 1), chain.classes, Process(temperature), seed=1))
    good = sequences(row, chain)
    counts = dict.fromkeys(good, 0)
    for start in range(0, 3 * draws, 3):
        own = tables.cut(slice(start, start + 3), 3)
        proposal = chain.propose(JointWindow(row.position, own, canvas, decided, temperature))
        counts[tuple(own.token.gather(1, proposal.choice[:, None])[:, 0].tolist())] += 1
    assert fits(list(counts.values()), chances(logits / temperature, row, good))
    independent = chances(logits / temperature, row, [*itertools.product(range(5), repeat=3)])
    blind = dict(zip(itertools.product(range(5), repeat=3), independent, strict=True))
    assert not fits(list((dict.fromkeys(blind, 0) | counts).values()), list(blind.values()))


def test_a_draw_in_the_middle_of_a_class_follows_the_tokens_of_that_class() -> None:
    """One class of all tokens: the joint draw is the independent one, bit for bit."""
    chain = Chain([0] * 5, ANYTHING)
    seen = look(logits_of(5, 6, 5), chain.classes, Process(0.8), seed=4)
    row = row_of(chain, torch.zeros(6, dtype=torch.int64), torch.zeros(6, dtype=torch.bool), torch.arange(6), 0.8)
    made = joint.propose(seen, [row], Recipe(process=Process(0.8)), OPEN)
    assert torch.equal(made.guess, seen.guess)
    assert torch.equal(made.confidence, seen.confidence)


# --- whole runs ---


@composite
def coupled(draw: DrawFn) -> Job:
    """A job of any recipe whose holes, and what is given between them, are a chain that can be completed."""
    job = draw(jobs())
    allowed, first = draw(rules), job.template.index(None)
    process = replace(job.recipe.process, suppress=(), logits_eos_inf=False)
    job = replace(job, recipe=replace(job.recipe, process=process), proposer=Chain(THIRDS, allowed, first))
    canvas = job.row().canvas
    chain: Any = job.proposer
    assume(chain.completable(canvas.tokens, ~canvas.undecided))
    return job


@given(models, st.lists(coupled(), min_size=1, max_size=2), st.lists(jobs(), max_size=2))
def test_every_canvas_can_be_completed_and_every_answer_keeps_the_rule(
    model: Hashed, work: list[Job], others: list[Job]
) -> None:
    rows = [job.row(model.contract) for job in [*work, *others]]
    batch = Batch(model)
    for row in rows:
        batch.admit(row)
    for _ in range(2_000):
        going = [row for row in rows if not row.finish_reason]
        if not going:
            break
        step(batch, going)
        for row in rows:
            chain: Any = row.proposer
            if chain is not None:
                assert row.error is None
                assert chain.completable(row.canvas.tokens, ~row.canvas.undecided)


@given(models, st.lists(st.one_of(coupled(), jobs()), min_size=2, max_size=4))
def test_a_coupled_row_in_a_batch_is_the_row_alone(model: Hashed, work: list[Job]) -> None:
    for job, (_, steps) in zip(work, run(model, work), strict=True):
        assert bits(steps) == bits(alone(model, job)[1])


@given(models, jobs())
def test_a_proposer_that_couples_nothing_changes_nothing(model: Hashed, job: Job) -> None:
    free = replace(job, proposer=Chain([0] * TOY.vocab_size, ANYTHING))
    assert bits(alone(model, free)[1]) == bits(alone(model, job)[1])


def test_coupled_and_independent_rows_are_one_part() -> None:
    proposers = [None, Chain(THIRDS, NO_TWINS), Chain([0] * 16, ANYTHING)]
    rows = [Job(holes(4), Recipe(blocks=Whole()), proposer=proposer).row() for proposer in proposers]
    assert len(partition(rows, [row.plan() for row in rows])) == 1


def test_guesses_that_were_best_alone_break_the_rule_that_joint_ones_keep() -> None:
    """The greedy answer of this model has twins; so the laws above are not empty."""
    model, job = Hashed(1), Job(holes(9), Recipe(blocks=Whole(), steps=1))
    chain = Chain(THIRDS, NO_TWINS)
    free, kept = alone(model, job)[0].canvas, alone(model, replace(job, proposer=chain))[0].canvas
    assert not chain.completable(free.tokens, ~free.undecided)
    assert chain.completable(kept.tokens, ~kept.undecided)


def test_edits_need_their_own_pass() -> None:
    """Two classes in turn: an edit of one token alone never fits, so what stays pinned keeps the others as they are."""
    turns = Chain([0, 1], [[False, True], [True, False]])
    canvas, decided = torch.tensor([0, 1, 0, 1]), torch.ones(4, dtype=torch.bool)
    row = row_of(turns, canvas, decided, torch.arange(4))
    logits = torch.tensor([[0.0, 3.0], [3.0, 0.0], [0.0, 3.0], [3.0, 0.0]])
    recipe = Recipe(revise=Edit(0.5))
    judged = joint.propose(look(logits, turns.classes), [row], recipe, OPEN)
    assert judged.guess.tolist() == [1, 0, 1, 0]  # as if all were undecided
    for edit, guess in (([True] * 4, [1, 0, 1, 0]), ([True, False, True, True], [0, 0, 0, 1])):
        marks, nothing = torch.tensor(edit), torch.zeros(4, dtype=torch.bool)
        changes = Changes(reveal=nothing, edit=marks, remask=nothing, inside=~nothing)
        assert joint.amend(judged, [row], changes, recipe, OPEN).guess.tolist() == guess


def test_a_row_whose_logits_exclude_every_sequence_fails_alone() -> None:
    suppressed = tuple(token for token in range(TOY.vocab_size) if token % 3 == 0)
    recipe = Recipe(blocks=Whole(), process=Process(suppress=suppressed))
    dead = Job(holes(4), recipe, proposer=Chain(THIRDS, [[True, False, False]] * 3))
    good = Job(holes(4), recipe, proposer=Chain(THIRDS, NO_TWINS))
    (failed, _), (fine, steps) = run(Hashed(2), [dead, good])
    assert failed.error is not None
    assert failed.error.step == 0
    assert fine.error is None
    assert decisions(steps) == decisions(alone(Hashed(2), good)[1])


def test_forced_tokens_have_confidence_1_and_leave_at_once() -> None:
    """Turns after a given token: all is forced, so a threshold takes the window in one step."""
    turns = Chain([0, 1], [[False, True], [True, False]])
    recipe = Recipe(blocks=Whole(), select=Threshold(0.99))
    model = Uniform(replace(TOY, vocab_size=2, mask_id=1, forbidden=(), eos_ids=(), eot_ids=(), max_positions=16))
    row, steps = alone(model, Job((0, *holes(5)), recipe, proposer=turns))
    assert len(steps) == 1
    assert [change.confidence for change in steps[0].changes] == pytest.approx([1.0] * 5)
    assert row.canvas.tokens.tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "process",
    [GREEDY, Process(scores="processed"), Process(0.7), Process(0.7, top_k=5), Process(0.7, scores="processed")],
)
def test_the_tables_take_what_was_planned(process: Process) -> None:
    contract = replace(TOY, vocab_size=3_000, max_positions=200)
    classes = [token % 64 for token in range(3_000)]
    job = Job(holes(200), Recipe(blocks=Whole(), process=process), proposer=Chain(classes, ANYTHING))
    planned = footprint([job.row(contract)], Uniform(contract)).logits
    asked = ReadClasses(((0, 200, TokenClasses(torch.tensor(classes))),), 64)
    reads = Reads(keys(0, 200) if process.temperature else None, classes=asked)
    hidden = torch.randn(1, 200, 3_000)
    work = partial(scan, torch.clone, hidden, reads, Recipe(process=process), contract)
    work()  # makes the buckets, once
    took = peak_bytes(hidden.device, work)
    assert abs(planned / took - 1) < 0.1, f"planned {planned:,}, took {took:,}"
