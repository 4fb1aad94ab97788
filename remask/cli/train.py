"""`remask train`: a run from its configuration, with progress on stderr; it can be killed and goes on."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from ..errors import UsageError
from .options import Device, Threads
from .progress import clock
from .screen import errors_to, is_terminal, say, tell

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from ..training.config import TrainConfig
    from ..training.loop import Progress


CONFIG = "A TOML file, or the name of one in the package, as bundled."
OUT = "The folder of the run; one that was begun goes on."
DATA = "A folder of real text, for a configuration that learns from it."
STEPS = "Steps instead of the configuration's."
MINUTES = "End after so many minutes; the learning rate falls in time for it."
WORKERS = "Processes that make batches ahead, where all batches have one shape."


def train(
    config: Annotated[str, Option("--config", "-c", help=CONFIG, metavar="NAME|FILE", show_default=False)],
    out: Annotated[Path, Option("--out", "-o", help=OUT, metavar="DIR", show_default=False)],
    data: Annotated[Path | None, Option("--data", help=DATA, metavar="DIR", show_default=False)] = None,
    steps: Annotated[int | None, Option("--steps", help=STEPS, metavar="N", show_default=False)] = None,
    minutes: Annotated[float | None, Option("--minutes", help=MINUTES, metavar="M", show_default=False)] = None,
    workers: Annotated[int, Option("--workers", help=WORKERS, metavar="N", min=0, max=256)] = 0,
    device: Device = "auto",
    threads: Threads = None,
) -> int:
    """Train a model from scratch, or go on with a run."""
    from ..training import config as configs

    asked = configs.load(located(config))
    how = asked.optimisation
    how = replace(how, steps=how.steps if steps is None else steps, minutes=how.minutes if minutes is None else minutes)
    asked = configs.validate(replace(asked, optimisation=how))

    import torch

    from ..checkpoint.placement import choose_device
    from ..engine.host import check_threads
    from ..training.checkpoints import reached
    from ..training.run import execute

    check_threads(threads)
    done, total = reached(out), asked.optimisation.steps
    length = f"{total:,} steps" if how.minutes is None else f"{how.minutes:g} minutes"
    say(f"{out}: {f'going on from step {done:,}, of {length}' if done else f'{length} from the start'}")
    where = choose_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    last: Progress | None = None
    try:
        with shown(asked, done) as show:
            for last in execute(asked, out, where, corpus=data, workers=workers):
                show(last)
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on from step {reached(out):,}")
        return 130
    tell(str(out / "checkpoint"))
    say(f"done; try it: remask run -m {out / 'checkpoint'} …")
    return 0


def located(name: str) -> Path:
    """A configuration of the package by its name, else the file of that name."""
    if name.endswith(".toml"):
        return Path(name)
    paths = [Path(str(file)) for file in (files("remask.training") / "configs").iterdir()]
    shipped = {path.stem: path for path in paths if path.suffix == ".toml"}
    if name not in shipped:
        raise UsageError(f"there is no configuration {name!r}; give {', '.join(sorted(shipped))} or a .toml file")
    return shipped[name]


class Show:
    """Draws progress: a bar on a terminal, a line a report elsewhere, and a table at every evaluation."""

    def __init__(self, total: int, bars: "Bars | None", task: "TaskID | None") -> None:
        self.total, self.bars, self.task = total, bars, task
        self.before: Mapping[str, float] = {}

    def __call__(self, progress: "Progress") -> None:
        """One report."""
        pace = f"{progress.tokens_per_second:,.0f} tokens/s"
        if self.bars is not None and self.task is not None:
            self.bars.update(self.task, completed=progress.step, said=f"loss {progress.loss:.3f} · {pace}")
        else:
            left = clock(progress.seconds_left)
            say(f"step {progress.step:,}/{self.total:,} · loss {progress.loss:.3f} · {pace} · {left} left", "")
        if progress.heldout is not None:
            self._table(progress.step, progress.heldout)

    def _table(self, step: int, losses: Mapping[str, float]) -> None:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
        table.add_column(f"step {step:,}: held out")
        table.add_column("nats a token", justify="right")
        table.add_column("change", justify="right")
        for name, loss in losses.items():
            change = f"{loss - self.before[name]:+.3f}".replace("-", "−") if name in self.before else ""
            table.add_row(name, f"{loss:.3f}", change)
        self.before = losses
        (self.bars.console if self.bars is not None else errors_to(sys.stderr)).print(table)


@contextmanager
def shown(config: "TrainConfig", done: int) -> Iterator[Show]:
    """What draws the run's progress; the terminal is as it was when it ends, however it ends."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    total = config.optimisation.steps
    if not is_terminal(sys.stderr):
        yield Show(total, None, None)
        return
    columns = [
        TextColumn("{task.description}"),
        BarColumn(None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[said]}"),
    ]
    with Progress(*columns, TimeRemainingColumn(), console=errors_to(sys.stderr)) as bars:
        yield Show(total, bars, bars.add_task(config.name, total=total, completed=done, said=""))
