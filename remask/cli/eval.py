"""`remask eval`: held-out accuracy by task, with counts and intervals; beside it, the long-context commands."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Argument, Option
from typer.core import TyperGroup

from ..errors import UsageError
from . import bits, compare, completion, longcontext, perplexity
from .options import Data, Decoding, Items, Machine, at_least, spread, tasks_named
from .progress import progress
from .screen import say, tell, tell_json

if TYPE_CHECKING:
    from ..evals.accuracy import Accuracy


class Evaluations(TyperGroup):
    """A group of commands, of which `tasks` need not be named: `remask eval sorting` is `remask eval tasks sorting`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """What stands first and is no command begins the arguments of `tasks`."""
        if args and args[0] not in (*self.commands, *self.get_help_option_names(ctx)):
            args = ["tasks", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """Its commands, and the tasks."""
        names = next(one for one in self.commands["tasks"].params if one.name == "names")
        return [*super().shell_complete(ctx, incomplete), *names.shell_complete(ctx, incomplete)]


def tasks(
    decoding: Decoding,
    machine: Machine,
    names: Annotated[
        list[str],
        Argument(
            help="Task names, files of published sets (.csv, .json, .jsonl), or 'all'.",
            metavar="TASK…",
            autocompletion=completion.tasks,
        ),
    ],
    items: Items = 1000,
    data: Data = None,
    gen_length: Annotated[
        int | None, Option("--gen-length", help="Default: the longest answer, rounded up to 32.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, Option(help="Record every answer here; a second run goes on from it.", metavar="FILE.jsonl")
    ] = None,
    as_json: Annotated[bool, Option("--json", help="One JSON object a task.")] = False,
) -> None:
    """Measure how many held-out examples of the tasks a model answers, one token a step unless told."""
    at_least("items", items, 1)
    at_least("gen_length", gen_length, 1)
    if commands := [name for name in names if name in COMMANDS]:
        raise UsageError(f"{commands[0]} is a command of its own: remask eval {commands[0]} …")
    meant = tasks_named(names, data)
    options = {k: v for k, v in decoding.options().items() if k != "seed" and v != ()}
    from ..evals.accuracy import Accuracy, resume
    from ..evals.items import outcomes
    from ..evals.records import Record, subject

    llm = machine.load()
    about = subject(llm) | {"gen_length": gen_length, "seed": decoding.seed, "options": repr(options)}
    record = Record.open(out, about)
    options = {"gen_length": gen_length, **options} if gen_length else options
    for name, task in meant.items():
        done = outcomes(record, task=name)
        try:
            with progress(name, items, len(done), llm.engine) as advance:
                for outcome in resume(llm, name, task, items, record, seed=decoding.seed, **options):
                    done.append(outcome)
                    advance(f"{sum(bool(o.passed) for o in done) / len(done):.1%}")
        except KeyboardInterrupt:
            so_far = f", of which {Accuracy.of(name, done)} passed" if done else ""
            kept = f"{out} has them, the same command goes on from it" if out else "nothing is kept without --out"
            say(f"{name}: stopped after {len(done)} of {items:,} items{so_far}; {kept}")
            raise
        show(Accuracy.of(name, done[:items]), as_json)


def show(accuracy: "Accuracy", as_json: bool) -> None:
    """One line a task on stdout."""
    if as_json:
        tell_json(accuracy.as_dict())
    else:
        per = f"{accuracy.forwards:.1f} forwards and {accuracy.tokens:.1f} tokens an item"
        tell(f"{accuracy.task:<12} {accuracy}   {per}")


COMMANDS: dict[str, Callable[..., Any]] = {
    "tasks": tasks,
    "niah": longcontext.niah,
    "kv": longcontext.kv,
    "ruler": longcontext.ruler,
    "longqa": longcontext.longqa,
    "ppl": perplexity.ppl,
    "bits-per-byte": bits.bits_per_byte,
    "compare": compare.compare,
}
group = typer.Typer(
    name="eval",
    cls=Evaluations,
    help="Measure answers: generated tasks by name (remask eval sorting), and long context.",
    no_args_is_help=True,
)
for _name, _command in COMMANDS.items():
    group.command(_name)(spread(_command))
