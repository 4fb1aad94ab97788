"""Laws of one row: what is given stays, every row ends, and its steps tell all that happened."""

import json
import math
from dataclasses import replace
from io import StringIO
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remask.decoding.blocks import Blocks, Whole
from remask.decoding.recipe import Guidance, Process, Recipe, Stop
from remask.decoding.revision import WINO, Edit
from remask.decoding.selection import Threshold
from remask.engine.batch import Batch
from remask.engine.requests import Step
from remask.engine.row import Decision, Row
from remask.engine.step import step
from remask.engine.transfer import gathered, packed, unpacked
from remask.errors import RequestError
from remask.models.contract import Packed, Plan
from remask.models.predictor import MaskPredictor
from remask.testing import TOY, Fake, Hashed, Oracle, Uniform
from remask.trace import format as trace
from remask.trace.board import frames
from tests.helpers.fake_values import Malicious
from tests.helpers.jobs import Job, alone, bits, decisions, holes, run, tokens
from tests.helpers.strategies import EOS, MASK, jobs, models


def bound(row: Row) -> int:
    """Forwards that a row may take at most: each window's patience, then one position at a time."""
    return sum(2 * (len(q) + len(w)) + 16 + len(w) + 1 for q, w in zip(row.quotas, row.windows, strict=True))


@given(models, jobs())
def test_given_tokens_never_change(model: Fake, job: Job) -> None:
    row, steps = alone(model, job)
    for position, token in enumerate(job.template):
        assert token is None or row.canvas.tokens[position] == token
    touched = {change.position for made in steps for change in made.changes}
    assert touched <= {i for i, token in enumerate(job.template) if token is None}


@given(models, jobs())
def test_every_row_ends_within_its_bound_and_decides_everything_before_its_end(model: Fake, job: Job) -> None:
    row, steps = alone(model, job)
    undecided = row.canvas.undecided
    assert len(steps) == row.forwards <= bound(row)
    assert not undecided[: row.end].any()
    if row.end == len(row.canvas):
        assert row.finish_reason == "length" and not undecided.any()
    else:
        assert row.finish_reason == "stop" and int(row.canvas.tokens[row.end]) in job.stop_ids
        assert job.recipe.stop.eos_prefix or not undecided.any()


@given(models, jobs())
def test_forbidden_and_suppressed_ids_are_never_guessed(model: Fake, job: Job) -> None:
    row, steps = alone(model, job)
    never = {*model.contract.forbidden, *job.recipe.process.suppress}
    never |= set(model.contract.eos_ids) if job.recipe.process.logits_eos_inf else set()
    assert not never & {guess.token for made in steps for guess in made.guesses}
    assert not never & {int(t) for t in row.canvas.tokens[row.canvas.committed]}


@given(models, jobs(revised=False))
def test_without_revision_every_step_reveals_and_nothing_goes_back(model: Fake, job: Job) -> None:
    _, steps = alone(model, job)
    for made in steps:
        assert made.changes and {change.state for change in made.changes} == {"committed"}
    revealed = [change.position for made in steps for change in made.changes]
    assert len(revealed) == len(set(revealed))


@given(models, jobs())
def test_each_step_nets_a_position_or_the_patience_of_its_window_runs_down(model: Fake, job: Job) -> None:
    row, steps = alone(model, job)
    clock: dict[int, int] = {}
    for made in steps:
        spent, clock[made.block] = clock.get(made.block, 0), clock.get(made.block, 0) + 1
        net = sum({"committed": 1, "masked": -1}.get(change.state, 0) for change in made.changes)
        patience = 2 * (len(row.quotas[made.block]) + len(row.windows[made.block])) + 16
        assert net >= 1 or spent < patience


@given(models, jobs())
def test_settled_positions_never_change_again(model: Fake, job: Job) -> None:
    row, steps = alone(model, job)
    settled = 0
    for made in steps:
        assert all(change.position >= settled for change in made.changes)
        assert made.settled >= settled
        settled = made.settled
    assert settled >= row.end


@given(models, jobs())
def test_only_positions_of_the_window_change(model: Fake, job: Job) -> None:
    _, steps = alone(model, job)
    for made in steps:
        assert {change.position for change in made.changes} <= set(made.window)


@given(models, jobs())
def test_a_row_remembers_how_sure_it_was_of_what_it_committed(model: Fake, job: Job) -> None:
    row, steps = alone(model, job)
    canvas, last = row.canvas, {change.position: (made.index, change) for made in steps for change in made.changes}
    for position in np.flatnonzero(~canvas.given):
        if canvas.committed[position]:
            index, change = last[position]
            assert (canvas.tokens[position], canvas.age[position]) == (change.token, index)
            assert np.array_equal(canvas.confidence[position], change.confidence, equal_nan=True)
            assert np.array_equal(canvas.logprob[position], change.logprob, equal_nan=True)
        else:
            assert canvas.tokens[position] == MASK and canvas.age[position] == -1
            assert math.isnan(canvas.confidence[position]) and math.isnan(canvas.logprob[position])


@given(st.lists(st.booleans(), min_size=48, max_size=48), st.integers(0, 20))
def test_the_guard_holds_whatever_was_decided(flags: list[bool], clock: int) -> None:
    """Straight into `Row.apply`: a decision that touches everything, given positions and other windows included."""
    row = Job((3, *holes(4), EOS, *holes(6)), Recipe(blocks=Blocks(5), revise=Malicious())).row()
    canvas, everything = row.canvas, np.arange(12)
    earlier, half = np.array([1, 2, 9]), np.full(3, 0.5, np.float32)
    canvas.commit(earlier, np.full(3, 4), half, half, 0)
    row.clock = clock
    before, committed, window = canvas.tokens.copy(), canvas.committed.copy(), set(row.window.tolist())
    patient = clock < row.patience
    reveal, edit, remask, _ = np.array(flags).reshape(4, 12)
    made = row.apply(
        Plan(canvas.tokens[None], everything, everything, everything),
        decision(guess=5, reveal=reveal, edit=edit, remask=remask),
    )
    assert made is not None and window == {1, 2, 3, 4, 6}
    for i in range(12):
        back = i in window and committed[i] and remask[i] and patient
        written = i in window and (reveal[i] if not committed[i] else edit[i] and patient and not back)
        free = not canvas.given[i]
        assert canvas.tokens[i] == (MASK if free and back else 5 if free and written else before[i])
        assert canvas.committed[i] == (free and (committed[i] or bool(written)) and not back)
        assert (canvas.age[i] >= 0) == canvas.committed[i] != math.isnan(canvas.confidence[i])
        assert math.isnan(canvas.confidence[i]) == math.isnan(canvas.logprob[i])
    assert canvas.given.tolist() == [i in (0, 5) for i in range(12)]


def decision(guess: int, **flags: np.ndarray) -> Decision:
    """One that guesses the same token at all 12 positions."""
    never, half = np.zeros(12, bool), np.full(12, 0.5, np.float32)
    return Decision(
        guess=np.full(12, guess),
        confidence=half,
        logprob=half,
        inside=~never,
        healthy=~never,
        drift=half,
        leaders=np.zeros((12, 0), np.int64),
        shares=np.zeros((12, 0), np.float32),
        candidates={},
        **{"reveal": never, "edit": never, "remask": never} | flags,
    )


@pytest.mark.parametrize("reads", [0, 1, 5])
def test_one_buffer_carries_arrays_of_every_kind(reads: int) -> None:
    """Up and down, as to a device: shapes and types come out as they went in, whatever the alignment."""
    draw = torch.Generator().manual_seed(reads)
    numbers = torch.randn(reads, 3, generator=draw)
    numbers[::2, 0], numbers[1::2, 1] = -torch.inf, torch.nan
    ids = torch.randint(2**62, (reads,), generator=draw)
    parts = [ids, numbers, numbers[:, :0], numbers[:, 2], numbers > 0, ids % 2 == 0, numbers.double()]
    sent = unpacked(packed([part.numpy() for part in parts]), parts)
    for part, there in zip(parts, sent, strict=True):
        assert there.dtype == part.dtype and there.shape == part.shape
        np.testing.assert_array_equal(there.numpy(), part.numpy())
    for part, back in zip(parts, gathered(parts), strict=True):
        assert back.dtype == part.numpy().dtype
        np.testing.assert_array_equal(back, part.numpy())


def test_once_the_schedule_has_run_out_positions_leave_one_at_a_time() -> None:
    recipe = Recipe(blocks=Whole(), steps=2, revise=Malicious(edit=False))
    _, steps = alone(Hashed(), Job((1, *holes(6)), recipe))
    revealed = [sum(change.state == "committed" for change in made.changes) for made in steps]
    assert revealed[:2] == [3, 3] and set(revealed[2:]) == {1}


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize("select", [Threshold(0.0), Threshold(1.0)])
def test_a_malicious_reviser_cannot_keep_a_row_alive(blind: bool, select: Threshold) -> None:
    prompt = (3, MASK, EOS)
    recipe = Recipe(blocks=Blocks(4), revise=Malicious(blind=blind), select=select)
    row, steps = alone(Hashed(1), Job((*prompt, *holes(10), 5), recipe))
    assert row.finish_reason == "length" and row.canvas.committed.sum() == 10
    assert len(steps) > 10  # it did delay the row
    assert tokens(row)[:3] == list(prompt) and tokens(row)[-1] == 5


def test_a_prompt_of_mask_tokens_is_given_text() -> None:
    row, _ = alone(Oracle([1] * 12), Job((MASK, MASK, *holes(4), MASK, *holes(5)), Recipe(blocks=Whole())))
    assert tokens(row) == [MASK, MASK, 1, 1, 1, 1, MASK, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("shift", [0, 1])
def test_a_row_reads_where_the_model_predicts(shift: int) -> None:
    """A right-shifted model says at i - 1 what comes at i."""
    said = [1, 2, 3, 4, 5, 6, 7]
    row, _ = alone(Oracle(said, 0.9, replace(TOY, shift=shift)), Job((1, *holes(3), 5, *holes(2))))
    assert tokens(row) == said


def test_the_model_never_sees_a_committed_position_as_mask() -> None:
    """With one token a step, the masks that each row sees go down one by one."""
    seen: list[int] = []

    class Spy(Hashed):
        def logits(self, hidden):  # type: ignore[no-untyped-def]
            seen.append(int((hidden[0, 1:] == MASK).sum()))
            return super().logits(hidden)

    alone(Spy(), Job((1, 2, *holes(6)), Recipe(blocks=Whole())))
    assert seen == [6, 5, 4, 3, 2, 1]


# --- the end of an answer ---


def test_an_answer_ends_when_all_before_its_first_stop_id_is_decided() -> None:
    sure = [0.0, 0.5, 0.9, 0.6, 0.99, 0.3, 0.2]  # the EOS at 4 comes first, then 2, 3 and 1
    oracle = Oracle([1, 2, 3, 4, EOS, 6, 7], sure)
    job = Job((1, *holes(6)), Recipe(blocks=Whole()), stop_ids=(EOS,))
    row, steps = alone(oracle, job)
    assert [made.changes[0].position for made in steps] == [4, 2, 3, 1]
    assert (row.finish_reason, row.end) == ("stop", 4)
    assert list(np.flatnonzero(row.canvas.undecided)) == [5, 6]  # unused


def test_stopping_at_the_end_of_text_changes_nothing_before_it() -> None:
    for seed in range(30):
        jobs_ = [
            Job((1, *holes(12)), Recipe(blocks=Blocks(4), stop=Stop(stops)), stop_ids=(EOS, 13))
            for stops in (True, False)
        ]
        (early, short), (late, long) = run(Hashed(seed, 1.0), jobs_)
        assert early.end == late.end
        assert tokens(early)[: early.end + 1] == tokens(late)[: early.end + 1]
        assert decisions(short) == decisions(long)[: len(short)]
        assert len(long) == 12 and not late.canvas.undecided.any()


def test_with_revision_a_stop_id_counts_only_once_its_window_is_done() -> None:
    oracle = Oracle([1, EOS, 3, 4, 5], [0.0, 0.99, 0.8, 0.7, 0.6])
    job = Job((1, *holes(4)), Recipe(blocks=Blocks(2), revise=Edit()), stop_ids=(EOS,))
    row, steps = alone(oracle, job)
    assert (row.finish_reason, row.end, len(steps)) == ("stop", 1, 3)  # the third finds nothing to rewrite


def test_a_given_stop_id_does_not_end_an_answer() -> None:
    row, _ = alone(Oracle([1, 2, EOS, 4]), Job((1, None, EOS, None), stop_ids=(EOS,)))
    assert (row.finish_reason, row.end) == ("length", 4)


# --- seeds ---


@given(st.integers(0, 2**63), st.integers(0, 50))
def test_the_same_seed_gives_the_same_text(seed: int, model: int) -> None:
    recipe = Recipe(blocks=Blocks(4), process=Process(temperature=1.0), confidence="random")
    first, second = (alone(Hashed(model), Job((1, *holes(9)), recipe, seed)) for _ in range(2))
    assert bits(first[1]) == bits(second[1]) and tokens(first[0]) == tokens(second[0])


def test_other_seeds_give_other_texts_above_temperature_0() -> None:
    recipe = Recipe(blocks=Blocks(4), process=Process(temperature=1.0))
    texts = {tuple(tokens(row)) for row, _ in run(Uniform(), [Job((1, *holes(9)), recipe, s) for s in range(20)])}
    assert len(texts) == 20


def test_each_step_draws_anew() -> None:
    """Guesses that were not kept are made again with other noise."""
    recipe = Recipe(blocks=Whole(), process=Process(temperature=1.0))
    _, steps = alone(Uniform(), Job((1, *holes(40)), recipe))
    first, second = ({guess.position: guess.token for guess in made.guesses} for made in steps[:2])
    assert sum(first[position] == token for position, token in second.items()) < 12


def test_at_temperature_0_the_seed_does_not_matter() -> None:
    texts = {tuple(tokens(row)) for row, _ in run(Hashed(), [Job((1, *holes(9)), seed=s) for s in range(20)])}
    assert len(texts) == 1


# --- the trace ---


def write(job: Job, row: Row, steps: list[Step]) -> str:
    start = job.row(row.contract).canvas
    file = StringIO()
    writer = trace.Writer(file, start.tokens, start.given.tolist(), lambda token: f"é{token}", mask_id=MASK)
    for made in steps:
        writer.step(made)
    writer.end(finish_reason=row.finish_reason)
    return file.getvalue()


@given(models, jobs())
def test_replaying_a_trace_gives_the_result(model: Fake, job: Job) -> None:
    row, steps = alone(model, job)
    read = trace.read(StringIO(write(job, row, steps)))
    assert read.final().tolist() == tokens(row)
    assert len(read.steps) == len(steps) and read.mask_id == MASK
    assert read.end == {"finish_reason": row.finish_reason}
    assert {int(t) for t in read.final()} <= read.pieces.keys()


@given(models, jobs(), st.floats(0, 1))
def test_a_trace_cut_anywhere_replays_what_was_whole(model: Fake, job: Job, share: float) -> None:
    row, steps = alone(model, job)
    written = write(job, row, steps)
    header = written.index("\n") + 1
    cut = written[: header + int(share * (len(written) - header))]
    read = trace.read(StringIO(cut))
    lines = [line for line in written.splitlines() if line.startswith('{"step":')]
    whole = [made for made, line in zip(steps, lines, strict=True) if line in cut]
    assert [line["step"] for line in read.steps] == [made.index for made in whole]
    assert (read.end is None) == (cut.rstrip("\n") != written.rstrip("\n"))
    expected = job.row(row.contract).canvas.tokens
    for made in whole:
        for change in made.changes:
            expected[change.position] = change.token
    assert read.final().tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "empty"),
        (["{}"], "header"),
        (['{"format":"remask-trace","version":3}'], "version 3"),
        (['{"format":"remask-trace","version":1,"mask_id":1}'], "lacks the tokens"),
        (["HEAD", "{oops", '{"end":{}}'], "line 2"),
        (["HEAD", '{"step":0,"changes":[[2,0,"committed",0,0]]}'], "line 2"),
        (["HEAD", '{"step":0,"changes":[[-1,0,"committed",0,0]]}'], "line 2"),
        (["HEAD", '{"step":0,"changes":[[0,"a","committed",0,0]]}'], "line 2"),
        (["HEAD", '{"step":0,"changes":7}'], "line 2"),
        (["HEAD", '{"step":0}'], "line 2"),
    ],
)
def test_what_is_not_a_trace_is_refused_with_its_line(lines: list[str], reason: str) -> None:
    header = '{"format":"remask-trace","version":1,"mask_id":1,"tokens":[0,1]}'
    with pytest.raises(RequestError, match=reason):
        trace.read([header if line == "HEAD" else line for line in lines])


def test_key_frames_hold_the_canvas_of_their_step() -> None:
    job = Job((1, *holes(40)))
    row, steps = alone(Hashed(), job)
    lines = [json.loads(line) for line in write(job, row, steps).splitlines()]
    (key,) = [line for line in lines if "key" in line]
    *_, frame = islice(frames(trace.read(StringIO(write(job, row, steps)))), 33)
    assert key["key"] == frame["step"] == 32 and key["tokens"] == frame["tokens"]


# --- how much is computed ---


class Watched(Hashed):
    """Counts the rows whose logits are asked for, and the rows of each forward."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed, contract=replace(TOY, max_positions=256))
        self.asked: list[int] = []
        self.forwards: list[int] = []

    def hidden(self, batch: Packed):  # type: ignore[no-untyped-def]
        self.forwards.append(len(batch.tokens))
        self.asked.append(0)
        return super().hidden(batch)

    def logits(self, hidden):  # type: ignore[no-untyped-def]
        self.asked[-1] += len(hidden)
        return super().logits(hidden)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_logits_are_made_for_the_undecided_of_the_window_and_no_others(scale: float) -> None:
    spy, job = Watched(), Job((1, *holes(199)), Recipe(blocks=Blocks(8), guidance=Guidance(scale)))
    row, batch = job.row(spy.contract), Batch(spy)
    batch.admit(row)
    streams = 2 if scale else 1
    while row.finish_reason is None:
        undecided = int(row.canvas.undecided[row.window].sum())
        step(batch)
        assert spy.asked[-1] == undecided * streams <= 8 * streams
        assert spy.forwards[-1] == 200 * streams


def test_a_reviser_pays_for_what_it_reads_and_no_more() -> None:
    spy = Watched()
    alone(spy, Job((1, *holes(199)), Recipe(blocks=Blocks(8), revise=WINO())))
    assert max(spy.asked) <= 8
    assert max(spy.forwards) <= 200 + 8


def test_taking_logits_in_turns_changes_nothing(monkeypatch: pytest.MonkeyPatch, tiny: MaskPredictor) -> None:
    recipe = Recipe(blocks=Whole(), process=Process(temperature=1.0), guidance=Guidance(1.0))
    for model in (Hashed(), tiny):
        at_once = alone(model, Job((1, *holes(12)), recipe, candidates=2))
        monkeypatch.setattr("remask.decoding.scan.LOGITS_AT_ONCE", 8 * model.contract.vocab_size)
        in_turns = alone(model, Job((1, *holes(12)), recipe, candidates=2))
        monkeypatch.undo()
        assert decisions(at_once[1]) == decisions(in_turns[1])


@given(models, jobs(), st.integers(1, 5))
def test_reducing_logits_in_turns_changes_no_bit(model: Fake, job: Job, at_once: int) -> None:
    whole = alone(model, job)[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("remask.decoding.scan.REDUCED_AT_ONCE", at_once * model.contract.vocab_size)
        assert bits(alone(model, job)[1]) == bits(whole)
