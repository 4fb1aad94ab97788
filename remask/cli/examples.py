"""`remask examples`: what the models of the package can do, in one table, with what to type for each of it."""

import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from typer import Argument

from ..errors import UsageError, unknown_name
from .screen import is_terminal, note, page

if TYPE_CHECKING:
    from ..llm import LLM

MODEL = "One of the package: bundled, bundled-blockwise or bundled-haystack."
HOLES = "The {{1}} sat on the {{1}}. The {{1}} was very tired."
PASSAGE = "Anna has a small dog. The dog sleeps in a red box. Where does the dog sleep?"
LOOK_UP = "P5 Y4 = Y7 M2 W1 ; dano leli bobe S3 L1 = G6 U6 O0 ; ? S3 L1 ="


@dataclass(frozen=True)
class Example:
    """An ability and a text that shows it: a message, or with `command` and `options` what else asks for it."""

    ability: str
    text: str
    command: str = "run"
    options: str = ""

    def line(self, model: str) -> str:
        """What to type in a shell."""
        chosen = "" if model == "bundled" else f" -m {model}"
        return f"remask {self.command}{chosen}{self.options and ' '}{self.options} {quoted(self.text)}"

    @property
    def is_message(self) -> bool:
        """Whether its text can be written as it is in a chat."""
        return self.command == "run" and not self.options


@dataclass(frozen=True)
class Frame:
    """What a model of the package is, in half a sentence, and what shows it."""

    words: str
    examples: tuple[Example, ...]


TASKS = (
    Example("sort and reverse", "Sort 5380217."),
    Example("sort and reverse", "Reverse 12345."),
    Example("solve a 4x4 Sudoku", "Solve 1.34 ..12 2..3 43.."),
    Example("recall", "Remember K4 B7 Q2 M0. What are Q K B?"),
    Example("extract JSON", "Extract JSON: Anna is 34 years old and lives in Paris."),
)
FRAMES = {
    "bundled": Frame(
        "for simple English and small tasks",
        (
            Example("talk about itself", "What can you do?"),
            *TASKS[:2],
            Example("calculate", "What is 17 + 25?"),
            Example("tell a story", "Tell me a story about a cat."),
            Example("solve a word problem", "Tom has 3 apples and buys 4 more. How many apples does he have?"),
            *TASKS[2:],
            Example("answer from a text", PASSAGE),
            Example("continue a story", "Once upon a time", options="--raw"),
            Example("fill holes", HOLES, "infill"),
        ),
    ),
    "bundled-blockwise": Frame("that decodes block by block and may edit; it knows a few small tasks", TASKS),
    "bundled-haystack": Frame(
        "that looks up the values of keys in a long text, and knows nothing else",
        (Example("look up", LOOK_UP, options="--raw --gen-length 4"),),
    ),
}
FIRST = 3  # examples in the line that stands before an answer


def examples(model: Annotated[str, Argument(help=MODEL, metavar="MODEL")] = "bundled") -> None:
    """Show what a model of the package can do, with commands to copy."""
    if model not in FRAMES:
        raise UsageError(unknown_name("model of the package", model, FRAMES))
    paper, ability = page(), ""
    for example in FRAMES[model].examples:
        if example.ability != ability:
            ability = example.ability
            paper.print(f"# {ability}", style="dim")
        paper.print(example.line(model), soft_wrap=True)  # a line break in the middle would be copied, too


def introduce(llm: "LLM") -> None:
    """Say on a terminal, before an answer, what a model of the package is and what to try."""
    if (frame := FRAMES.get(llm.loaded.source)) and is_terminal(sys.stderr):
        shown: dict[str, str] = {}  # one an ability
        for example in frame.examples:
            if example.is_message:
                shown.setdefault(example.ability, f"“{example.text}”")
        more = f"remask examples{'' if llm.loaded.source == 'bundled' else f' {llm.loaded.source}'}"
        note(f"{described(llm)} Try {', '.join([*[*shown.values()][:FIRST], more])}")


def described(llm: "LLM") -> str:
    """What the model is, in one sentence; of a stranger, its name."""
    frame, name = FRAMES.get(llm.loaded.source), llm.loaded.source
    millions = llm.loaded.config.parameters / 1e6
    return f"{name}: a very small model ({millions:.1f} million parameters) {frame.words}." if frame else f"{name}."


def messages(model: str) -> list[str]:
    """What to write to `model` in a chat; nothing where the package does not know it."""
    return [example.text for example in FRAMES[model].examples if example.is_message] if model in FRAMES else []


def quoted(text: str) -> str:
    """`text` as one word of a shell, in double quotes where nothing in it has a meaning to the shell."""
    return shlex.quote(text) if set(text) & set('"$`\\!') else f'"{text}"'
