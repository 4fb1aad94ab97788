"""The commands in one table, and what becomes of an error: one line on stderr and an exit code."""

import os
import re
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.text import Text

from .. import __version__
from ..errors import RemaskError, UsageError, printable
from ..options import as_text
from . import (
    bench,
    chat,
    config,
    doctor,
    drift,
    eval,
    examples,
    explain,
    infill,
    models,
    plan,
    recipes,
    run,
    trace,
    train,
)
from .options import FLAG, flag, spread
from .screen import errors_to, is_unicode, tell


@dataclass
class Settings:
    """What holds for every command."""

    debug: bool = False


COMMANDS: tuple[Callable[..., Any], ...] = (
    run.run,
    chat.chat,
    infill.infill,
    examples.examples,
    explain.explain,
    bench.bench,
    drift.drift,
    train.train,
    plan.plan,
    doctor.doctor,
    config.config,
)
OPTION = re.compile(  # a word that a bound or a value follows; or one with an underscore, unless it stands in a list
    r"(?<![\w.'-])(?:[a-z]\w*(?= (?:must|\d|ntk:))|(?<!: )(?<!, )[a-z]+_\w+(?![\w.']))"
)
COMPLETION = "_REMASK_COMPLETE"
GROUPS = (eval.group, trace.group, models.group, recipes.group)


def build() -> typer.Typer:
    """The program with all its commands."""
    app = typer.Typer(
        name="remask",
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(root)
    for command in COMMANDS:
        app.command()(spread(command))
    for group in GROUPS:
        app.add_typer(group)
    return app


def root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.", metavar=FLAG)] = False,
    version: Annotated[bool, typer.Option("--version", "-V", help="Show the version and exit.", metavar=FLAG)] = False,
) -> None:
    """Run masked diffusion language models, and watch every step.

    Text goes to stdout, everything else to stderr. Without -m, the model inside the package answers: no download.
    What it can do, and what to type: remask examples.
    """
    context.obj.debug = debug
    if version:
        tell(f"remask {__version__}")
    elif context.invoked_subcommand is None:
        tell(context.get_help())
    else:
        values = {key: setting.value for key, setting in config.stated().items()}
        context.default_map = config.defaults_of(context.command, values)


def execute(arguments: Sequence[str] | None) -> int:
    """Parse and run; every exception becomes an exit code here and nowhere else."""
    settings = Settings()
    command = typer.main.get_command(build())
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the life of the program
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and not is_unicode(stream):
            stream.reconfigure(errors="backslashreplace")  # a character that the terminal lacks is no reason to stop
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if COMPLETION in os.environ:  # the shell asks, in variables, for what could come next
            command.main(args=[], prog_name="remask", complete_var=COMPLETION)
        with command.make_context("remask", words, obj=settings) as context:
            code = command.invoke(context)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except SystemExit as ended:  # of the completion
        return int(ended.code or 0)
    except typer.Exit as wanted:
        return int(wanted.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # so that the interpreter's last flush has somewhere to go
        return 1
    except Exception as error:  # noqa: BLE001  # the last line of defence
        return told(error, settings, flags_of(command, words))


def told(error: Exception, settings: Settings, flags: Collection[str]) -> int:
    """Say what went wrong in one line, with the `flags` of the command; 2 if the asking was wrong, else 1."""
    if settings.debug:
        import traceback

        tell("".join(traceback.format_exception(error)), end="", stream=sys.stderr)
    format_message = getattr(error, "format_message", None)  # typer's own, in any of its versions
    if format_message is not None:
        context = getattr(error, "ctx", None)
        message = printable(unknown_option(error) or format_message() or "name a command", 600)
        message += f" (see {context.command_path} --help)" if context else ""
    elif isinstance(error, RemaskError):
        message = with_flags(str(error), flags)
    else:
        hint = "" if settings.debug else "; `remask --debug …` shows the traceback"
        message = f"{type(error).__name__}: {printable(str(error), 600)}{hint}"
    line = " ".join(message.split())
    errors_to(sys.stderr).print(Text.assemble(("remask:", "bold"), " ", ("error:", "bold red"), " ", line))
    return 2 if format_message is not None or isinstance(error, UsageError) else 1


def unknown_option(error: Exception) -> str:
    """The message for an option that does not exist, with the nearest that does; nothing for another error."""
    near, name = getattr(error, "possibilities", None), getattr(error, "option_name", "")
    return f"No such option: {name}; did you mean {near[0]}?" if near else ""


def flags_of(command: Any, words: Sequence[str]) -> set[str]:
    """The flags of the command that `words` call; those of all its commands where they stop at a group."""
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    commands = getattr(command, "commands", {"": command}).values()
    return {flag for one in commands for parameter in one.params for flag in parameter.opts}


def with_flags(message: str, flags: Collection[str]) -> str:
    """An error of the library as a command with these `flags` speaks: `gen_length` is --gen-length there.

    Where no bound or value follows, one word may be mere English, and what stands in a list the name of a value.
    """
    names = {name for name in as_text() if flag(name) in flags}
    return OPTION.sub(lambda word: flag(word[0]) if word[0] in names else word[0], message)
