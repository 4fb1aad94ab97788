"""Python calls of one step: how many functions of the package run, and how often the next one is in another file.

Numbers, not seconds: they are the same on every machine, and a step of a small model spends much of its time here.
Comprehensions do not count: from Python 3.12 on they are no calls.

    python benchmarks/calls.py
    python benchmarks/calls.py --recipe fast-dllm --rows 8 --top 20
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import remask
from remask.decoding.canvas import Canvas
from remask.decoding.recipe import Recipe
from remask.engine.batch import Batch
from remask.engine.row import Row
from remask.engine.step import step

PACKAGE = str(Path(remask.__file__).parent)
INLINE = ("<listcomp>", "<dictcomp>", "<setcomp>")
WARM_UP = 4  # steps before the one that counts: the first of a window does more


class Calls(NamedTuple):
    """The calls of one run: how often each function, by file and name, was entered; and the changes of file."""

    functions: Counter[tuple[str, str]]
    changes: int

    def outside(self, folder: str) -> int:
        """The number of calls of functions that are not in `folder`."""
        return sum(count for (file, _), count in self.functions.items() if not file.startswith(folder))


def calls(run: Callable[[], Any]) -> Calls:
    """Count the calls of the package's own functions in `run`; what they call of others is not counted."""
    functions: Counter[tuple[str, str]] = Counter()
    files: list[str] = []

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = frame.f_code.co_filename
        if event == "call" and path.startswith(PACKAGE) and frame.f_code.co_name not in INLINE:
            files.append(path.removeprefix(f"{PACKAGE}/"))
            functions[files[-1], frame.f_code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return Calls(functions, sum(a != b for a, b in pairwise(files)))


def one_step(recipe: Recipe, count: int, gen_length: int = 32) -> Calls:
    """The calls of a step of the bundled model with `count` rows, after a few steps."""
    llm = remask.load(device="cpu")
    contract, prompt = llm.model.contract, llm.encode("Sort 5380217.")
    fitting = recipe.spelled(llm.encode)
    batch = Batch(llm.model)
    for seed in range(count):
        canvas = Canvas.after(prompt, gen_length, contract.mask_id)
        batch.admit(Row(canvas, fitting, contract, seed=seed, stop_ids=llm.stop_ids))
    for _ in range(WARM_UP):
        step(batch)
    return calls(lambda: step(batch))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="llada", help="a recipe, as for Recipe.load")
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--top", type=int, default=0, help="also list the functions that are called most")
    asked = parser.parse_args()
    counted = one_step(Recipe.load(asked.recipe), asked.rows)
    files = len({file for file, _ in counted.functions})
    print(
        f"{asked.recipe}, {asked.rows} rows: {counted.functions.total()} calls a step "
        f"({counted.outside('models/')} outside models/), {counted.changes} changes of file, {files} files"
    )
    for (file, name), count in counted.functions.most_common(asked.top):
        print(f"{count:5}  {file}  {name}")


if __name__ == "__main__":
    main()
