"""A fork goes on from a moment of a run: without edits as that run did, with edits as they say, and beside anybody."""

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import remask
from remask.decoding.blocks import Adaptive, Blocks
from remask.decoding.caches import NoCache
from remask.decoding.canvas import Growing
from remask.decoding.prior import Leftward
from remask.decoding.recipe import Recipe
from remask.decoding.selection import Threshold
from remask.engine.batch import Batch
from remask.engine.engine import Engine
from remask.engine.fork import restore
from remask.engine.handle import Handle
from remask.engine.past import Edit, Past
from remask.engine.requests import Request, Step
from remask.engine.row import Row
from remask.engine.step import denoise, step
from remask.errors import RequestError, UsageError
from remask.llm import LLM
from remask.models.contract import Predictor
from remask.models.predictor import MaskPredictor
from remask.testing import TOY, Fake, Hashed
from remask.text.tokenizer import Text
from remask.trace.board import board_of, frames
from remask.trace.format import Trace, read
from remask.trace.past import past as trace_past
from remask.trace.recorder import Recorder
from tests.conftest import VOCAB
from tests.helpers.jobs import Job, alone, bits, decisions, holes, tokens
from tests.helpers.strategies import jobs, models
from tests.laws.test_neighbours import RECIPES
from tests.laws.test_recipes import GRIDDED, SHIPPED, fitting
from tests.laws.test_recipes import RECIPES as LOADED


def past(job: Job, row: Row) -> Past:
    """The past of a row that ran."""
    request = Request(job.template, job.recipe, job.seed, job.stop_ids, candidates=job.candidates)
    return Past(request, log=tuple(row.log))


def rest(model: Predictor, row: Row) -> list[Step]:
    return [step for _, step in denoise(model, [row])] if row.finish_reason is None else []


class Stepwise:
    """A row in a batch of its own, one step at a time."""

    def __init__(self, model: Predictor, row: Row) -> None:
        self.row, self.batch = row, Batch(model)
        self.batch.admit(row)

    def step(self) -> Step | None:
        made = step(self.batch)
        return made[0][1] if made else None


def moments(steps: Sequence[Step]) -> list[int]:
    """Some steps of a run to fork after: the first, the last, and three between."""
    return sorted({0, len(steps) - 1, *(len(steps) * part // 4 for part in (1, 2, 3))})


# --- without edits ---


@given(models, jobs(), st.data())
def test_without_edits_a_fork_goes_on_as_its_run_to_the_last_bit(model: Fake, job: Job, data: st.DataObject) -> None:
    one, steps = alone(model, job)
    at = data.draw(st.integers(0, len(steps)))
    again = restore(past(job, one).until(at), model.contract)
    assert bits(rest(model, again)) == bits(steps[at:])
    assert (again.finish_reason, tokens(again)) == (one.finish_reason, tokens(one))


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("temperature", [None, 0.8])
def test_every_shipped_recipe_goes_on_to_the_last_bit(name: str, temperature: float | None) -> None:
    model, recipe = fitting(name, Hashed(5, tie_rate=0.3)), LOADED[name]
    if temperature is not None:
        recipe = replace(recipe, process=replace(recipe.process, temperature=temperature))
    job = Job((1, 2, *holes(9), 3, *holes(12)), recipe, seed=11)
    one, steps = alone(model, job)
    for at in moments(steps):
        again = restore(past(job, one).until(at), model.contract)
        assert bits(rest(model, again)) == bits(steps[at:]) and tokens(again) == tokens(one)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_on_a_transformer_a_fork_decides_as_its_run(tiny: MaskPredictor, recipe: Recipe) -> None:
    job = Job((*np.random.default_rng(1).integers(0, VOCAB, 4).tolist(), *holes(11)), recipe, seed=2)
    one, steps = alone(tiny, job)
    for at in moments(steps):
        again = restore(past(job, one).until(at), tiny.contract)
        assert decisions(rest(tiny, again)) == decisions(steps[at:]) and tokens(again) == tokens(one)


@pytest.mark.parametrize("name", sorted(GRIDDED))
def test_on_a_block_causal_transformer_a_fork_decides_as_its_run(blockwise: MaskPredictor, name: str) -> None:
    recipe = LOADED[name]
    if name == "fast-dllm-v2":  # its windows divide a grid of 8
        pytest.skip("needs another grid")
    job = Job((1, 2, 3, 4, 5, *holes(14)), recipe, seed=2)
    if recipe.revise.edits:
        pytest.skip("needs a model that edits")
    one, steps = alone(blockwise, job)
    for at in moments(steps):
        again = restore(past(job, one).until(at), blockwise.contract)
        assert decisions(rest(blockwise, again)) == decisions(steps[at:]) and tokens(again) == tokens(one)


def test_without_its_stored_keys_a_fork_would_decide_otherwise() -> None:
    """So the law above tests them."""
    model, job = Hashed(5), Job((1, 2, *holes(16)), LOADED["fast-dllm-prefix"])
    one, steps = alone(model, job)
    again = restore(past(job, one).until(5), model.contract)
    assert again.stored
    again.stored = []
    assert bits(rest(model, again)) != bits(steps[5:])


def test_forks_of_forks_and_growing_canvases_go_on_too() -> None:
    model = Hashed(9)
    job = Job((1, *holes(20)), Recipe(canvas=Growing(4, 3, 0.9, 2), steps=20), seed=4)
    one, steps = alone(model, job)
    assert not steps[0].changes  # it grows first
    for at in range(len(steps) + 1):
        again = restore(past(job, one).until(at), model.contract)
        rest(model, again)
        twice = restore(past(job, again).until(min(at + 2, len(steps))), model.contract)
        rest(model, twice)
        assert tokens(twice) == tokens(again) == tokens(one)


# --- with edits ---


@st.composite
def edits(draw: st.DrawFn, row: Row) -> Edit:
    """Any edit that this row can take."""
    canvas = row.canvas
    free = np.flatnonzero(~canvas.given).tolist()
    committed = np.flatnonzero(canvas.committed).tolist()
    guessable = sorted({*range(row.contract.vocab_size)} - {*row.contract.forbidden})
    chosen = draw(
        st.lists(st.sampled_from(["set", "pin", "ban", "remask", ""]), min_size=len(free), max_size=len(free))
    )
    kinds = dict(zip(free, chosen, strict=True))
    sets = {at: draw(st.sampled_from(guessable)) for at in free if kinds[at] == "set"}
    bans = {at: tuple(draw(st.sets(st.sampled_from(guessable), max_size=3))) for at in free if kinds[at] == "ban"}
    bans = {at: tuple(token for token in bad if token != canvas.tokens[at]) for at, bad in bans.items()}
    pins, back = ([at for at in committed if kinds[at] == kind] for kind in ("pin", "remask"))
    return Edit(set=sets, pin=pins, ban={at: bad for at, bad in bans.items() if bad}, remask=back)


@given(models, jobs(), st.data())
def test_edits_hold_and_the_run_ends(model: Fake, job: Job, data: st.DataObject) -> None:
    one, steps = alone(model, job)
    log = past(job, one).until(data.draw(st.integers(0, len(steps))))
    before = restore(log, model.contract)
    edit = data.draw(edits(before))
    left = before.canvas.undecided.copy()
    left[list(edit.set)], left[list(edit.remask)] = False, True
    if not left.any() and any(before.canvas.tokens[at] != token for at, token in edit.set.items()):
        with pytest.raises(RequestError, match="nothing is left to decide"):
            restore(log.edited(edit), model.contract)
        return
    row = restore(log.edited(edit), model.contract)
    if row.finish_reason is not None:  # the run had ended, and no token is another now
        assert not edit.remask and all(before.canvas.tokens[at] == token for at, token in edit.set.items())
        return
    fixed = edit.set | {at: int(before.canvas.tokens[at]) for at in edit.pin}
    given_ = np.flatnonzero(row.canvas.given)
    assert all(row.canvas.undecided[at] for at in edit.remask)
    run = Stepwise(model, row)
    for _ in range(500):
        made = run.step()
        assert all(row.canvas.tokens[at] == token for at, token in fixed.items())
        assert (row.canvas.tokens[given_] == before.canvas.tokens[given_]).all()
        assert all(row.canvas.tokens[at] not in bad for at, bad in edit.ban.items() if row.canvas.committed[at])
        assert made is None or all(change.position not in fixed for change in made.changes)
        if row.finish_reason:
            break
    if row.finish_reason == "error":
        assert job.recipe.process.suppress or job.recipe.process.logits_eos_inf or edit.ban  # all were taken away
        return
    assert row.finish_reason in ("stop", "length")
    assert not row.canvas.undecided[: row.end].any()


@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("name", sorted(GRIDDED))
def test_an_exact_cache_stays_exact_after_edits(name: str, shift: int) -> None:
    """Blocks that were stored, left, gone back to and passed over: all as if nothing were ever stored."""
    model, recipe = fitting(name, Hashed(6)), LOADED[name]
    model.contract = replace(model.contract, shift=shift)
    job = Job((1, 2, *holes(5), 3, *holes(30)), recipe, seed=3)
    one, steps = alone(model, job)
    for at in moments(steps):
        log = past(job, one).until(at)
        committed = np.flatnonzero(restore(log, model.contract).canvas.committed).tolist()
        back = [place for place in committed if place in (2, 6, 11, 19, 21)]
        log = log.edited(Edit(set={20: 4, 37: 5}, ban={21: [1, 2]}, remask=back))
        cached = restore(log, model.contract)
        plain = replace(log, request=replace(log.request, recipe=replace(recipe, cache=NoCache())))
        computed = restore(plain, model.contract)
        assert bits(rest(model, cached)) == bits(rest(model, computed)) and tokens(cached) == tokens(computed)
        assert not computed.refreshed


def test_a_set_position_holds_under_guidance_and_is_part_of_the_answer() -> None:
    """It is not given: the stream without the prompt sees it, and the answer has it."""
    model, job = Hashed(2), Job((1, 2, *holes(6)), RECIPES["cfg"])
    one, _ = alone(model, job)
    row = restore(past(job, one).until(2).edited(Edit(set={5: 7})), model.contract)
    assert row.canvas.unconditional()[5] == 7 and row.canvas.committed[5] and not row.canvas.given[5]
    assert (row.canvas.confidence[5], row.canvas.logprob[5]) == (1.0, 0.0)


def test_the_pace_stays_where_nothing_is_sent_back() -> None:
    """A fork spends on the rest of its window what the run would have; a window that edits have filled is skipped."""
    model, job = Hashed(2), Job((1, *holes(12)), Recipe(blocks=Blocks(4), steps=6))
    one, steps = alone(model, job)
    row = restore(past(job, one).until(1).edited(Edit(set=dict.fromkeys(range(5, 9), 3))), model.contract)
    assert [step.window for step in rest(model, row)] == [steps[1].window, steps[4].window, steps[5].window]


# --- what an edit refuses ---

REFUSED = {
    "outside the canvas; give one of 0..8": Edit(pin=[9]),
    "position 0 is given by the request": Edit(remask=[0]),
    "remask: position 8 is undecided": Edit(remask=[8]),
    "pin: position 8 is undecided": Edit(pin=[8]),
    "token id 16 is outside the vocabulary of 16": Edit(set={8: 16}),
    "token id 99 is outside the vocabulary of 16": Edit(ban={8: [99]}),
    "token id 15 is one that this model never gives out": Edit(set={8: 15}),
    "token id 3 is banned at position 8": Edit(set={8: 3}, ban={8: 3}),
    "no token is left for position 8": Edit(ban={8: range(15)}),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_an_edit_that_the_canvas_cannot_take_is_refused(reason: str) -> None:
    job = Job((1, *holes(8)), Recipe(prior=Leftward(100.0)))
    one, _ = alone(Hashed(), job)
    with pytest.raises(RequestError, match=reason):
        restore(past(job, one).until(4).edited(REFUSED[reason]), TOY)


def test_a_banned_token_that_stands_there_must_go_first() -> None:
    job = Job((1, *holes(8)))
    one, steps = alone(Hashed(), job)
    at, token = steps[0].changes[0].position, steps[0].changes[0].token
    log = past(job, one).until(4)
    with pytest.raises(RequestError, match=f"position {at} holds token id {token}; remask it too"):
        restore(log.edited(Edit(ban={at: token})), TOY)
    row = restore(log.edited(Edit(ban={at: token}, remask=[at])), TOY)
    rest(Hashed(), row)
    assert row.canvas.committed[at] and row.canvas.tokens[at] != token


@pytest.mark.parametrize(
    "edit",
    [
        {"set": {1: 2}, "pin": [1]},
        {"pin": [1], "remask": [1]},
        {"set": {1: 2}, "remask": [1]},
        {"pin": [-1]},
        {"pin": [True]},
        {"pin": "12"},
        {"pin": 3},
        {"set": [1]},
        {"set": {1: "a"}},
        {"set": {"1": 1}},
        {"ban": {1: 0.5}},
    ],
)
def test_what_is_no_edit_is_refused(edit: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"leave out one|takes"):
        Edit(**edit)


def test_a_past_of_another_model_or_request_is_refused() -> None:
    job = Job((1, *holes(8)))
    one, _ = alone(Hashed(), job)
    log = past(job, one)
    for other in (replace(job, template=(*holes(1), 2)), replace(job, recipe=RECIPES["credit"])):
        with pytest.raises(RequestError, match="fork with the model and the request of the run"):
            restore(replace(past(other, one), log=log.log), TOY)
    with pytest.raises(RequestError, match="fork with the model and the request of the run"):
        restore(log, replace(TOY, forbidden=tuple(range(15))))
    for at in (-1, 9, 1.5):
        with pytest.raises(RequestError, match="step"):
            log.until(at)  # type: ignore[arg-type]


# --- in an engine ---


def engine_runs(model: Predictor, jobs: Sequence[Job]) -> tuple[Engine, list[Handle]]:
    """The handles of an engine whose runs have ended."""
    engine = Engine(model)
    handles = [engine.submit(Request(job.template, job.recipe, job.seed, job.stop_ids)) for job in jobs]
    for handle in handles:
        handle.result()
    return engine, handles


@settings(max_examples=8)
@given(models, st.lists(jobs(), min_size=2, max_size=3), st.data())
def test_forks_in_a_batch_change_nothing_for_their_neighbours(
    model: Fake, batch: list[Job], data: st.DataObject
) -> None:
    engine, handles = engine_runs(model, batch)
    pasts = [handle.past(data.draw(st.integers(0, handle.past().steps - 1))) for handle in handles]
    canvas = handles[0].snapshot(pasts[0].steps)
    bans = {int(at): data.draw(st.sampled_from([3, 5])) for at in np.flatnonzero(canvas.undecided)[:1]}
    edited = engine.fork(pasts[0], Edit(ban=bans))
    forks = [engine.fork(log) for log in pasts]
    fresh = [engine.submit(handle.request) for handle in handles]
    for handle, again in zip((*handles, *handles), (*forks, *fresh), strict=True):
        assert repr(replace(again.result(), seconds=0)) == repr(replace(handle.result(), seconds=0))  # NaN is NaN
    assert edited.result().finish_reason in ("stop", "length")


def test_a_handle_shows_its_past_and_its_forks() -> None:
    engine, (handle,) = engine_runs(Hashed(1), [Job((1, *holes(8)), RECIPES["dual"])])
    early, now = handle.snapshot(step=3), handle.snapshot()
    assert early.committed.sum() == 3 and (now.tokens[early.committed] == early.tokens[early.committed]).all()
    at, free = int(np.flatnonzero(early.committed)[0]), int(np.flatnonzero(early.undecided)[0])
    forked = engine.fork(handle.past(3), Edit(set={free: 4}, remask=[at]))
    assert (handle.parent, forked.parent, forked.begun) == (None, 3, False)
    assert [type(event) for event in forked.before()] == [Step, Step, Step, Edit]
    assert "refreshed at fork" in forked.result().warnings[-1]
    assert forked.snapshot().pinned.tolist() == [place == free for place in range(9)]
    assert forked.snapshot(step=2).committed.sum() == 2 and not forked.snapshot(step=2).pinned.any()
    untouched = engine.fork(handle.past(3), Edit(pin=[at], ban={free: 4}))
    assert not untouched.result().warnings and untouched.snapshot().tokens[free] != 4
    with pytest.raises(RequestError, match="has ended after 8 steps"):
        engine.fork(handle.past())


# --- from a file ---


def recorded(text: Text, handle: Handle) -> tuple[Trace, str]:
    """The run of a handle as a trace, and its text."""
    file = StringIO()
    recorder = Recorder(file, handle)
    for made in handle:
        recorder.step(made)
    recorder.end()
    return read(StringIO(file.getvalue())), file.getvalue()


FILED = {
    **{name: recipe for name, recipe in RECIPES.items() if "adaptive" not in name},
    "adaptive": Recipe(blocks=Adaptive(3, 6, 0.05, tuple(range(20))), select=Threshold(0.1)),
    "growing": Recipe(canvas=Growing(4, 3, 0.9, 2)),
}


@pytest.mark.parametrize("recipe", FILED.values(), ids=FILED)
def test_a_file_gives_the_past_of_its_handle_to_the_last_bit(text: Text, recipe: Recipe) -> None:
    model = Hashed(3, contract=replace(TOY, vocab_size=text.size))
    engine = Engine(model, text)
    request = Request((1, 2, *holes(14)), recipe, seed=2**63 + 5, stop_ids=(14,))
    handle = engine.submit(request)
    trace, _ = recorded(text, handle)
    for at in moments(handle.past().log):  # type: ignore[arg-type]
        live, filed = (restore(log, model.contract) for log in (handle.past(at), trace_past(trace, at)))
        assert bits(rest(model, live)) == bits(rest(model, filed)) and tokens(live) == tokens(filed)


def test_the_file_of_a_fork_stands_alone(text: Text) -> None:
    """It has its parent's steps and its own edits, is shown like any other, and can be forked in turn."""
    model = Hashed(3, contract=replace(TOY, vocab_size=text.size))
    engine = Engine(model, text)
    handle = engine.submit(Request((1, 2, *holes(10)), RECIPES["rcr"], seed=4))
    trace, _ = recorded(text, handle)
    early = handle.snapshot(3)
    back, free = int(np.flatnonzero(early.committed)[0]), int(np.flatnonzero(early.undecided)[-1])
    edit = Edit(set={free: 5}, ban={free - 1: [6]}, remask=[back])
    forked = engine.fork(trace_past(trace, 3), edit)
    canvas = board_of(forked)
    own, written = recorded(text, forked)
    assert own.header["parent"] == {"step": 3} and "parent" not in trace.header
    assert [line["changes"] for line in own.steps[:3]] == [line["changes"] for line in trace.steps[:3]]
    assert own.final().tolist() == forked.snapshot().tokens.tolist()
    assert (canvas.token[free], canvas.state[free], canvas.state[back]) == (5, "given", "masked")
    *_, before, after = islice(frames(own), 5)
    assert before["tokens"] == early.tokens.tolist() and after["tokens"] == forked.snapshot(4).tokens.tolist()
    assert [type(event) for event in trace_past(own).log] == [type(event) for event in forked.past().log]
    again = engine.fork(trace_past(own, 4))
    assert replace(again.result(), seconds=0) == replace(forked.result(), seconds=0)
    cut = read(StringIO(written[: written.index('\n{"step":3') + 1]))  # the edit is the last line
    assert replace(engine.fork(trace_past(cut)).result(), seconds=0) == replace(forked.result(), seconds=0)


OLD = '{"format":"remask-trace","version":1,"mask_id":15,"tokens":[1,15],"given":[[0,1]],"seed":0,"recipe":{}}'
HEAD = OLD.replace('"version":1', '"version":2,"request":REQUEST')
ASKED = '{"stop_ids":[],"stop":[],"candidates":0,"template":null,"dropped":0,"proposer":false}'
MADE = '{"step":0,"block":0,"changes":[[1,3,"committed",9,-1]],"t_ms":1,"move":MOVE}'


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([OLD], "written as version 1"),
        ([HEAD.replace("REQUEST", ASKED.replace("false", "true"))], "had a proposer"),
        ([HEAD.replace("REQUEST", "{}")], "missing or malformed"),
        ([HEAD.replace("REQUEST", ASKED).replace("[1,15]", "[1,3]")], "partly decided"),
        (["HEAD", MADE.replace(',"move":MOVE', "")], "missing or malformed"),
        (["HEAD", MADE.replace("MOVE", '{"scores":[[0.5,1]],"horizon":2}')], "missing or malformed"),
        (["HEAD", MADE.replace("MOVE", '{"scores":[[99999999999,1]],"horizon":2}')], "missing or malformed"),
        (["HEAD", MADE.replace("MOVE", '{"scores":[],"horizon":-2}')], "horizon takes whole numbers"),
        (["HEAD", MADE.replace("MOVE", '{"scores":[[1,1]],"horizon":3}')], "step 0 of the past"),
        (["HEAD", MADE.replace("MOVE", '{"scores":[[1,1]],"horizon":2,"inside":[0]}')], "step 0 of the past"),
        (
            ["HEAD", MADE.replace("MOVE", '{"scores":[[1,1]],"horizon":2,"leaders":[[],[],[],[]]}')],
            "step 0 of the past",
        ),
        (["HEAD", MADE.replace("MOVE", '{"scores":[[1,1]],"horizon":2}').replace("[[1,3", "[[1,15")], "step 0 of the"),
        (["HEAD", MADE.replace("MOVE", '{"scores":[[1,1]],"horizon":2}').replace("[[1,3", "[[0,3")], "step 0 of the"),
        (["HEAD", '{"edit":0,"set":[[0,3]],"pin":[],"ban":[],"remask":[],"changes":[]}'], "position 0 is given"),
        (["HEAD", '{"edit":0,"set":[[1,"3"]],"pin":[],"ban":[],"remask":[],"changes":[]}'], "set takes whole numbers"),
        (["HEAD", '{"edit":0,"changes":[]}'], "missing or malformed"),
    ],
)
def test_a_file_that_says_too_little_or_too_much_is_refused(lines: list[str], reason: str) -> None:
    head = HEAD.replace("REQUEST", ASKED)
    with pytest.raises(RequestError, match=reason):
        Engine(Hashed()).fork(trace_past(read([head if line == "HEAD" else line for line in lines])))


def test_the_library_forks_handles_pasts_and_files(llm: LLM, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    handle = llm.submit("Sort 5380217.", gen_length=8, steps=8)
    done = remask.record(handle, path).result()
    for run in (handle, handle.past(), path, str(path)):
        again = llm.fork(run, 3).result()
        assert (again.text, again.tokens, again.forwards) == (done.text, done.tokens, done.forwards)
    first = len(handle.request.tokens) - 8
    four = llm.text.encode("4")
    forked = llm.fork(path, 3, set={first: "4"}, ban={first + 1: ["3", four[0]]})
    fork = remask.record(forked, tmp_path / "fork.jsonl").result()
    assert fork.text.startswith("4") and fork.tokens[0] == four[0] and fork.tokens[1] not in llm.text.encode("34")
    assert llm.fork(tmp_path / "fork.jsonl", 5).result().text == fork.text
    with pytest.raises(RequestError, match="is 0 tokens of this model, and must be one"):
        llm.fork(handle, 3, set={first: ""})
    with pytest.raises(RequestError, match=r"step must lie in 0\.\.8"):
        llm.fork(handle, 9)
    with pytest.raises(UsageError, match="cannot read"):
        llm.fork(tmp_path / "none.jsonl")


def test_a_fork_reads_on_in_its_text_and_minds_its_stop_string(llm: LLM) -> None:
    handle = llm.submit("Sort 5380217.", gen_length=8, steps=8)
    done = handle.result()
    assert "".join(llm.fork(handle, 4).pieces()) == done.text
    stop = done.text[len(done.text) // 2]
    stopped = llm.submit("Sort 5380217.", gen_length=8, steps=8, stop=stop)
    short = stopped.result()
    again = llm.fork(stopped, stopped.past().steps - 1).result()
    assert again.text == short.text == done.text.split(stop)[0]
    with pytest.raises(RequestError, match="has ended after"):
        llm.fork(stopped)
