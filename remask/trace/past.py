"""The past of a recorded run, from which a fork goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..decoding.recipe import Recipe
from ..engine.past import Edit, Past
from ..engine.requests import Move, Request
from ..errors import RemaskError, RequestError, UsageError, quoted
from .format import Trace, read
from .moves import edit_of, move_of

LACKS = "the trace lacks what a fork needs: {}; record the run again with this version, or fork its handle"


def past(trace: Trace, step: int | None = None) -> Past:
    """The past of a recorded run, or of its first `step` steps: what `Engine.fork` goes on from.

    It is for the model that took the steps. Raises RequestError if they were fewer, or if the file says too little.
    """
    with _whole("the request of line 1"):
        request = _request(trace)
    found = Past(request, log=_log(trace))
    return found if step is None else found.until(step)


def past_of_file(path: str | Path, step: int | None = None) -> Past:
    """The past of the run in a trace file. Raises UsageError if it cannot be read, else what `past` raises."""
    try:
        with Path(path).open("rb") as lines:
            return past(read(lines), step)
    except OSError as error:
        raise UsageError(f"cannot read {quoted(str(path))}: {error.strerror}") from None


def _request(trace: Trace) -> Request:
    header = trace.header
    if "request" not in header:
        raise RequestError(LACKS.format(f"it was written as version {quoted(header['version'])}"))
    asked = header["request"]
    if asked["proposer"]:
        raise RequestError(LACKS.format("its request had a proposer, which no file holds"))
    tokens: list[int | None] = list(header["tokens"])
    given = {at for start, stop in header["given"] for at in range(start, stop)}
    for at, token in enumerate(tokens):
        if at not in given:
            if token != trace.mask_id:
                raise RequestError(LACKS.format(f"it began on a canvas that was partly decided, at {at}"))
            tokens[at] = None
    return Request(
        tokens=tuple(tokens),
        recipe=Recipe.parse(header["recipe"]),
        seed=header["seed"],
        stop_ids=tuple(asked["stop_ids"]),
        stop=tuple(asked["stop"]),
        candidates=asked["candidates"],
        template=asked["template"],
        dropped=asked["dropped"],
    )


def _log(trace: Trace) -> tuple[Move | Edit, ...]:
    log: list[Move | Edit] = []
    edits = list(trace.edits)
    for number, line in enumerate(trace.steps):
        with _whole(f"step {number}, or an edit before it,"):
            while edits and edits[0][0] == number:
                log.append(edit_of(edits.pop(0)[1]))
            log.append(move_of(line))
    with _whole(f"an edit behind step {len(trace.steps)}"):
        return (*log, *(edit_of(line) for _, line in edits))


@contextmanager
def _whole(record: str) -> Iterator[None]:
    """Refuse a record that is not as a trace has it."""
    try:
        yield
    except RemaskError:
        raise
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise RequestError(LACKS.format(f"{record} is missing or malformed")) from None
