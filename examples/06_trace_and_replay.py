"""A run as a file: recorded as it happens, replayed without the model, shared as one HTML page."""

import io
import tempfile
from pathlib import Path

import remask
from remask.render.html import page
from remask.trace.format import Writer, read

llm = remask.load()
handle = llm.submit("Sort 5380217.", gen_length=8, candidates=3)
canvas, file = handle.row.canvas, io.StringIO()
writer = Writer(
    file, canvas.tokens, canvas.given, lambda token: llm.text.decode([token], special=True), mask_id=canvas.mask_id
)
for step in handle:
    writer.step(step)
done = handle.result()
writer.end(finish_reason=done.finish_reason, text=done.text)

trace = read(io.StringIO(file.getvalue()))
assert trace.final().tolist() == canvas.tokens.tolist()
target = Path(tempfile.mkdtemp()) / "run.html"
target.write_text(page(trace, text=done.text), encoding="utf-8")
print(f"{len(trace.steps)} steps; open {target}")
