"""Rows from requests, and again from their past: a fork is a row that has carried out the same moves, and then edits.

A replay computes nothing: tokens, windows, clock, horizon and history follow from the moves. The keys and values that
a cache stored are made again when the row is admitted, by the forwards that stored them (`Row.stored`).
"""

from collections.abc import Iterator

import numpy as np

from ..decoding.canvas import Canvas
from ..errors import RequestError
from ..models.contract import Contract, Ints
from .past import Edit, Past
from .requests import Change, Move, Request, Snapshot, Step
from .row import Row, Width


def begin(request: Request, contract: Contract, start: Snapshot | None = None) -> Row:
    """Return a row that has taken no step; with `start`, on that canvas. Raises RequestError or RecipeError."""
    limit = len(request.tokens) if request.limit is None else request.limit
    canvas = Canvas.template(request.tokens, contract.mask_id, limit)
    if start is not None:
        adopt(canvas, start)
    return Row(
        canvas,
        request.recipe,
        contract,
        seed=request.seed,
        stop_ids=request.stop_ids,
        candidates=request.candidates,
        proposer=request.proposer,
    )


def adopt(canvas: Canvas, start: Snapshot) -> None:
    """Commit on a fresh `canvas` what is committed in `start`. Raises RequestError if that is of another request."""
    if not np.array_equal(canvas.given, start.given) or (canvas.tokens != start.tokens)[canvas.given].any():
        raise RequestError("start is a canvas of another request; take a snapshot of one with the same tokens")
    at = np.flatnonzero(start.committed)
    canvas.commit(at, start.tokens[at], start.confidence[at], start.logprob[at], start.age[at])
    canvas.pin(np.flatnonzero(start.pinned))


def restore(past: Past, contract: Contract) -> Row:
    """Return the row that has this past. Raises RequestError if it cannot have come from this model."""
    row = begin(past.request, contract, past.start)
    for _ in replay(row, past):
        pass
    return row


def replay(row: Row, past: Past) -> Iterator[Step | Edit]:
    """Carry out a past on a fresh `row`, and yield its steps and edits; of the guesses only those kept are known."""
    assert row.width.queries and not row.log  # the width is asked for before the first step
    for event in past.log:
        if isinstance(event, Edit):
            amend(row, event)
            yield event
        else:
            yield redo(row, event)


def redo(row: Row, move: Move) -> Step:
    """Carry out a move of the past, and note its forward if it stored keys that are not all made again later."""
    if row.finish_reason is not None or not possible(row, move):
        raise RequestError(
            f"step {row.forwards} of the past is not one that this request takes on this model; "
            "fork with the model and the request of the run"
        )
    index, plan = row.forwards, row.plan()
    step, row.elapsed = row.carry_out(plan, move), move.seconds
    if plan.keep is not None and (plan.keep >= 0).any():
        everything = int(row.written[row.written >= 0].min()) == index
        row.stored = [plan] if everything else [*row.stored, plan]
    return step


def possible(row: Row, move: Move) -> bool:
    """Return True if the row can carry out the move; one from a file, or of another model, need not fit."""
    canvas, inside, leaders = row.canvas, move.inside, move.leaders
    window = {*row.window.tolist()} if inside is None else {*inside.tolist()}
    if not window or not window <= {*row.window.tolist()} or (leaders is None) != (row.history.depth == 0):
        return False
    if not row.horizon <= move.horizon <= (len(canvas) if row.fresh else row.horizon):
        return False
    if leaders is not None and not ({*leaders.position.tolist()} <= {*range(len(canvas))}):
        return False
    if leaders is not None and len(leaders.token) and leaders.token.shape[1] != row.history.width:
        return False
    places = [change.position for change in move.changes]
    return len({*places}) == len(places) and {*places} <= window and all(allowed(row, c) for c in move.changes)


def allowed(row: Row, change: Change) -> bool:
    """Return True if the row can make this change: what the guard lets through, to a token that can be guessed."""
    at, contract = change.position, row.contract
    if change.state != "masked" and not (change.token < contract.vocab_size and change.token not in contract.forbidden):
        return False
    return bool((row.canvas.undecided if change.state == "committed" else row.canvas.revisable)[at])


def amend(row: Row, edit: Edit) -> None:
    """Carry out an edit: the first window with a [MASK] opens, and stored keys of what changed are made anew.

    Raises RequestError for positions and tokens that it cannot concern, and if nothing is left to decide.
    """
    check(row, edit)
    canvas, before = row.canvas, row.canvas.tokens.copy()
    canvas.remask(np.array(edit.remask, np.int64))
    at, tokens = (np.array([*part], np.int64) for part in (edit.set.keys(), edit.set.values()))
    canvas.commit(at, tokens, np.ones(len(at), np.float32), np.zeros(len(at), np.float32), max(0, row.forwards - 1))
    canvas.pin(np.array([*edit.set, *edit.pin], np.int64))
    row.bans |= {at: tuple(sorted({*row.bans.get(at, ()), *tokens})) for at, tokens in edit.ban.items()}
    row.log.append(edit)
    if (changed := canvas.tokens != before).any():
        refresh(row, np.flatnonzero(changed))
        reopen(row)


def refresh(row: Row, changed: Ints) -> None:
    """Forget the keys and values of a row if those of `changed` positions are among them: the next forward that needs
    one computes it."""
    if len(row.written) and (row.written[changed] >= 0).any():
        row.written[:], row.stored, row.refreshed = -1, [], True


def reopen(row: Row) -> None:
    """Open the first window with a [MASK], unless it is the open one, whose clock goes on."""
    undecided = row.canvas.undecided
    if not undecided.any():
        raise RequestError("nothing is left to decide after these edits; remask a position, or set fewer")
    row.finish_reason = None
    if undecided.sum() > sum(int(undecided[window].sum()) for window in row.windows):  # some are in no window
        row.divide(row.recipe.blocks.windows(undecided))
        row.open(0)
    elif (first := row.undecided_from(0)) is not None and first != row.block:
        row.open(first)
    widest = row.plan()
    row.width = Width(max(row.width.queries, len(widest.positions)), row.width.masked or widest.visible is not None)


def check(row: Row, edit: Edit) -> None:
    """Refuse an edit that this row cannot take, quoting the value, the bound and the remedy."""
    canvas, vocabulary = row.canvas, row.contract.vocab_size
    for at in edit.positions:
        if at >= len(canvas):
            raise RequestError(f"position {at} is outside the canvas; give one of 0..{len(canvas) - 1}")
        if canvas.given[at]:
            raise RequestError(f"position {at} is given by the request; edit one that the model decides")
    for name, positions in (("pin", edit.pin), ("remask", edit.remask)):
        if still := [at for at in positions if canvas.undecided[at]]:
            raise RequestError(f"{name}: position {still[0]} is undecided; leave it out, or set it to a token")
    if outside := [token for token in edit.tokens if token >= vocabulary]:
        raise RequestError(f"token id {outside[0]} is outside the vocabulary of {vocabulary}")
    check_tokens(row, edit)


def check_tokens(row: Row, edit: Edit) -> None:
    """Refuse tokens that may not stand where they are set, and bans that leave no choice."""
    canvas, forbidden = row.canvas, row.contract.forbidden
    for at, token in edit.set.items():
        if token in forbidden:
            raise RequestError(f"set: token id {token} is one that this model never gives out; choose another")
        if token in (*row.bans.get(at, ()), *edit.ban.get(at, ())):
            raise RequestError(f"set: token id {token} is banned at position {at}; choose another")
    for at, tokens in edit.ban.items():
        stays = canvas.committed[at] and at not in edit.remask and at not in edit.set
        if stays and canvas.tokens[at] in tokens:
            raise RequestError(f"ban: position {at} holds token id {canvas.tokens[at]}; remask it too")
        if len({*tokens, *row.bans.get(at, ()), *forbidden}) == row.contract.vocab_size:
            raise RequestError(f"ban: no token is left for position {at}; ban fewer than {len(tokens)}")
