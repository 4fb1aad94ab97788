"""`remask chat`: a conversation, on a terminal or through pipes."""

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from ..errors import RemaskError, UsageError, did_you_mean, quoted
from ..options import OTHER_NAMES, as_text
from ..validation import in_words
from .options import Decoding, GenLength, Machine, System, output, refuse_clash
from .output import Output, follow, show
from .screen import is_terminal, say, tell

if TYPE_CHECKING:
    from ..llm import LLM

HELP = """\
/set NAME VALUE   change a setting, as in /set steps 32, /set temperature 0.7, /set watch on
/set              show the settings
/reset            forget the conversation
/help             this
/quit             leave, as does ^D"""
ON_OFF = {"on": True, "off": False}


@dataclass
class Talk:
    """A conversation so far, and how it goes on."""

    llm: "LLM"
    options: dict[str, Any]
    system: str | None = None
    watch: bool = False
    quiet: bool = False
    turns: list[dict[str, str]] = field(default_factory=list)

    def messages(self) -> list[dict[str, str]]:
        """All turns, behind the system message if there is one."""
        return ([] if self.system is None else [{"role": "system", "content": self.system}]) + self.turns

    def answer(self, text: str) -> None:
        """One turn: the answer on stdout as it settles. A turn that fails is not kept."""
        self.turns.append({"role": "user", "content": text})
        try:
            handle = self.llm.submit(self.messages(), **self.options)
            how = Output(watch=self.watch, quiet=self.quiet)
            done, paused, shown = follow(handle, how)
        except BaseException:
            self.turns.pop()
            raise
        show(done, how, paused, shown=shown)
        self.turns.append({"role": "assistant", "content": done.text})


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
    """Read, answer, and go on after a mistake; ^C stops an answer, or leaves at the prompt."""
    import contextlib

    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # line editing and history for input()
    if not talk.quiet:
        say(f"{talk.llm.loaded.source}: write a message, or /help")
    while True:
        try:
            line = input("› ")
        except EOFError:
            tell("")
            return 0
        except KeyboardInterrupt:
            tell("")
            return 130
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
    word, _, rest = line.partition(" ")
    if word == "/quit":
        return False
    if word == "/help":
        say(HELP, "")
    elif word == "/reset":
        talk.turns.clear()
        say("the conversation is forgotten")
    elif word == "/set":
        setting(talk, rest.split())
    elif word.startswith("/"):
        say(f"there is no command {word}; /help lists them", "red")
    elif line:
        talk.answer(line)
    return True


def setting(talk: Talk, words: list[str]) -> None:
    """Show the settings, or change one; a value that cannot work is refused and the old one stays."""
    if len(words) != 2:
        shown = {k: getattr(v, "name", v) for k, v in talk.options.items() if v != ()}
        say("  ".join(f"{name}={value}" for name, value in (shown | {"watch": "on" if talk.watch else "off"}).items()))
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
