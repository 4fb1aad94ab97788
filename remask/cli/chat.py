"""`remask chat`: a conversation, on a terminal or through pipes."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from .. import files
from ..errors import RemaskError, UsageError, did_you_mean, quoted
from ..options import OTHER_NAMES, REMASKING, as_text
from ..validation import in_words
from .examples import FRAMES, described, messages
from .options import Decoding, GenLength, Machine, System, output, refuse_clash
from .output import Output, follow, show
from .screen import is_terminal, note, say, tell

if TYPE_CHECKING:
    from ..llm import LLM

HELP = """\
/examples         what to write to this model
/set              show the settings in force
/set NAME VALUE   change one, as in /set steps 32, /set temperature 0.7, /set watch on
/system TEXT      a system message in front; without TEXT, none
/retry            answer the last message again, with the next seed
/undo             forget the last message and its answer
/reset            forget the conversation
/save FILE        write the conversation, as a JSON list of messages
/help             this
/quit             leave, as do /bye, exit, quit and ^D"""
ON_OFF = {"on": True, "off": False}
SPELLED = {value: word for word, value in ON_OFF.items()}
PUBLISHED = {value: name for name, value in REMASKING.items()}
LEAVE = {"/quit", "/bye", "/exit", "exit", "quit"}


@dataclass
class Talk:
    """A conversation so far, and how it goes on."""

    llm: "LLM"
    options: dict[str, Any]
    system: str | None = None
    watch: bool = False
    quiet: bool = False
    turns: list[dict[str, str]] = field(default_factory=list)
    dropped: int = 0  # turns at the beginning that the last answer did not see
    file: Path | None = None  # that this conversation was saved in

    def messages(self, dropped: int = 0) -> list[dict[str, str]]:
        """The turns after the first `dropped` ones, behind the system message if there is one."""
        system = [] if self.system is None else [{"role": "system", "content": self.system}]
        return system + self.turns[dropped:]

    def answer(self, text: str, **options: Any) -> None:
        """One turn: the answer on stdout as it settles. A turn that fails is not kept."""
        self.turns.append({"role": "user", "content": text})
        try:
            handle = self.llm.submit(self.within_context(), **self.options | options)
            how = Output(watch=self.watch, quiet=self.quiet)
            done, paused, shown = follow(handle, how)
        except BaseException:
            self.turns.pop()
            raise
        show(done, how, paused, shown=shown)
        self.turns.append({"role": "assistant", "content": done.text})

    def within_context(self) -> list[dict[str, str]]:
        """The messages that the context has room for beside an answer; says which are left out.

        Where the user chose another policy or scaling, all of them.
        """
        if self.options.keys() & {"context_policy", "rope"}:
            return self.messages()
        most = self.llm.model.contract.max_positions
        length, dropped = self.options.get("gen_length") or int(self.llm.defaults["gen_length"]), 0
        while dropped + 2 < len(self.turns) and len(self.llm.encode(self.messages(dropped))) + length > most:
            dropped += 2  # a message and its answer
        if dropped and dropped != self.dropped:
            say(f"the conversation outgrows the context of {most:,} tokens: its first {dropped} messages are left out")
        self.dropped = dropped
        return self.messages(dropped)


def chat(
    system: System = None,
    watch: Annotated[bool, output("Show the canvas of every answer as it fills.", "--watch")] = False,
    quiet: Annotated[bool, output("The answers and nothing else.", "--quiet", "-q")] = False,
    gen_length: GenLength = None,
    *,
    decoding: Decoding,
    machine: Machine,
) -> int:
    """Talk in turns. Piped, every line of stdin is one message."""
    options = decoding.options() | ({} if gen_length is None else {"gen_length": gen_length})
    llm = machine.load(quiet=quiet)
    llm.request("x", **options)  # what cannot work is refused before the first message
    talk = Talk(llm, options, system, watch, quiet)
    return terminal(talk) if is_terminal(sys.stdin) else piped(talk)


def terminal(talk: Talk) -> int:
    """Read, answer, and go on after a mistake; ^C stops an answer, and two of them at the prompt leave."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # line editing and history for input()
    if not talk.quiet:
        shown = "/examples, /help or /quit" if talk.llm.loaded.source in FRAMES else "/help or /quit"
        note(f"{described(talk.llm)} Write a message, {shown}.")
    asked = False  # whether the last key at the prompt was ^C
    while True:
        try:
            line = input("› ")
        except EOFError:
            tell("")
            return 0
        except KeyboardInterrupt:
            tell("")
            if asked:
                return 130
            say("^C again leaves, as do /quit and ^D")
            asked = True
            continue
        asked = False
        try:
            if not turn(talk, line):
                return 0
        except RemaskError as error:
            say(f"error: {error}", "red")
        except KeyboardInterrupt:
            say("stopped; the turn is not kept")


def piped(talk: Talk) -> int:
    """One message a line; a mistake ends the program."""
    from .prompt import decoded, lines

    for line in lines(decoded(sys.stdin.buffer.read(), "conversation")):
        if not turn(talk, line):
            break
    return 0


def turn(talk: Talk, line: str) -> bool:
    """Carry out one line; False to leave."""
    line = line.strip()
    if line in LEAVE:
        return False
    word, _, rest = ("/help" if line == "help" else line).partition(" ")
    if word in COMMANDS:
        COMMANDS[word](talk, rest.strip())
    elif word.startswith("/"):
        say(f"there is no command {word}{did_you_mean(word, [*COMMANDS, *LEAVE])}; /help lists them", "red")
    elif line:
        talk.answer(line)
    return True


def helped(talk: Talk, rest: str) -> None:
    """The commands."""
    say(HELP, "")


def examples(talk: Talk, rest: str) -> None:
    """What to write, by the table of `remask examples`."""
    texts = messages(talk.llm.loaded.source)
    say("\n".join(texts) if texts else "its card says what this model was made for", "")


def setting(talk: Talk, rest: str) -> None:
    """Show the settings, or change one; a value that cannot work is refused and the old one stays."""
    words = rest.split()
    if len(words) != 2:
        note("  ".join(f"{name}={value}" for name, value in in_force(talk).items()))
        if words:
            say("write /set NAME VALUE", "red")
        return
    name, value = words
    if name == "watch" and value in ON_OFF:
        talk.watch = ON_OFF[value]
    else:
        try:
            changed = talk.options | {name: from_text(name, value, talk.options)}
        except ValueError as error:
            say(str(error), "red")
            return
        refuse_clash(changed)
        talk.llm.request("x", **changed)
        talk.options = changed
    say(f"{name} = {value}")


def in_force(talk: Talk) -> dict[str, Any]:
    """The settings by name: those that were chosen, and what the recipe says where nothing was."""
    request = talk.llm.request(talk.messages() or "x", **talk.options | {"context_policy": "truncate-middle"})
    recipe = request.recipe.fit(talk.llm.model.contract, len(request.tokens))
    values: dict[str, Any] = {"recipe": recipe.name, "gen_length": request.tokens.count(None)}
    for name, option in as_text().items():
        axis, _, key = option.option.path.partition(".")
        part = recipe.tables().get(axis)
        found = part.get(key) if key and isinstance(part, dict) else None if key else part
        if axis and found is not None:
            values[name] = found["by"] if isinstance(found, dict) else found
    values.setdefault("steps", values["gen_length"])  # one a token
    values["remasking"] = PUBLISHED.get(values["remasking"], values["remasking"])
    chosen = {name: getattr(value, "name", value) for name, value in talk.options.items() if value not in ((), {})}
    whole = values | chosen | {"watch": talk.watch}
    return {name: SPELLED[value] if isinstance(value, bool) else value for name, value in whole.items()}


def system(talk: Talk, rest: str) -> None:
    """Another system message, or none."""
    talk.system = rest or None
    say("the system message stands in front of the conversation" if rest else "there is no system message")


def retry(talk: Talk, rest: str) -> None:
    """The last message again; the old answer is kept until there is a new one."""
    if not talk.turns:
        say("there is no message to answer again", "red")
        return
    seed, kept = talk.options.get("seed", 0) + 1, talk.turns[:]
    if in_force(talk).get("temperature", 0) == 0:
        say("at temperature 0 every seed gives the same answer; /set temperature 0.7 draws another")
    del talk.turns[-2:]
    try:
        talk.answer(kept[-2]["content"], seed=seed)
    except BaseException:
        talk.turns = kept
        raise
    talk.options["seed"] = seed


def undo(talk: Talk, rest: str) -> None:
    """One message and its answer less."""
    del talk.turns[-2:]
    say(f"forgotten; {len(talk.turns)} messages are left")


def reset(talk: Talk, rest: str) -> None:
    """Begin anew; the system message and the settings stay."""
    talk.turns.clear()
    say("the conversation is forgotten")


def save(talk: Talk, rest: str) -> None:
    """Write the messages; a file of another conversation stays."""
    if not rest:
        say("write /save FILE", "red")
        return
    path = Path(rest).expanduser()
    if path.exists() and path != talk.file:
        raise UsageError(f"{rest!r} is there already; give another name")
    files.write_json(path, talk.messages())
    talk.file = path
    say(f"wrote {path}, {len(talk.messages())} messages")


COMMANDS: dict[str, Callable[[Talk, str], None]] = {
    "/examples": examples,
    "/set": setting,
    "/system": system,
    "/retry": retry,
    "/undo": undo,
    "/reset": reset,
    "/save": save,
    "/help": helped,
}


def from_text(name: str, text: str, options: dict[str, Any]) -> Any:
    """The value of an option from how it is written; what `set` changes is added to what `options` change already.

    Raises UsageError for an unknown option, or text that is no such value.
    """
    table = {key: field for key, field in as_text().items() if field.option.flag}
    if name not in table:
        known = [*table, "watch"]
        hint = did_you_mean(name, known, OTHER_NAMES)
        raise UsageError(f"there is no setting {quoted(name)}; known: {', '.join(known)}{hint}")
    kind = table[name].kind
    if name == "set":
        from ..decoding.parsing import settings

        return options.get("set", {}) | settings([text])
    if name == "template_vars":
        from .loading import parse_fields

        return options.get(name, {}) | parse_fields([text], "/set template_vars", "enable_thinking=false")
    try:
        return ON_OFF[text] if kind is bool else kind(text) if kind in (int, float) else text
    except (ValueError, KeyError):
        raise UsageError(f"{name} must be {in_words(kind)}, got {quoted(text)}") from None
