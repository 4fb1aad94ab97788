"""A run as a file: recorded as it happens, replayed without the model, shared as one HTML page."""

import tempfile
from pathlib import Path

import remask
from remask.render.html import page
from remask.trace.format import read

folder = Path(tempfile.mkdtemp())
llm = remask.load()
handle = llm.submit("Sort 5380217.", gen_length=8, candidates=3)
for step in remask.record(handle, folder / "run.jsonl"):  # each step is written, then passed on
    print(f"step {step.index + 1}: {step.undecided} still [MASK]")
done = handle.result()

with (folder / "run.jsonl").open(encoding="utf-8") as lines:
    trace = read(lines)
assert trace.final().tolist() == handle.snapshot().tokens.tolist()
target = folder / "run.html"
target.write_text(page(trace, text=done.text), encoding="utf-8")
print(f"{len(trace.steps)} steps; open {target}")
