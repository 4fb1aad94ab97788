"""Plain arithmetic in any wording: `What is 17 + 25?`, `2+2`, `half of forty-eight`, `divide 84 by 7`."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from random import Random
from typing import ClassVar, NamedTuple

from .example import Example
from .split import frame_of, split_of
from .steps import division, product, worked_out
from .wording import casual, fill, frame, in_words

LARGEST = 999
ZERO = "You cannot divide by zero."
BEYOND = f"I can calculate with numbers up to {LARGEST}."
FRACTION = "I can calculate with whole numbers only."
TOO_LARGE = "The result is too large for me."
SENTENCES = (ZERO, BEYOND, FRACTION, TOO_LARGE)

# Keys of what everyone has to know; both are of the training split, so that no held-out example has them.
FACTS = "number facts"
PLAIN = "plain wording"

SIGNS = {
    "+": ("+",),
    "-": ("-",) * 8 + ("−", "–"),
    "*": ("*", "*", "*", "x", "x", "x", "×", "×", "X", "·"),
    "/": ("/", "/", "/", "/", "÷", "÷", "÷"),
}
SPOKEN = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
SPACES = ("{}",) * 8 + (" {} ",) * 10 + (" {}", "{} ", "  {} ")
SIGN = re.compile(r"[-+*/]")
RESULT = re.compile(r"(?:[-+*/()0-9]*=)?(-?[0-9]+(?:remainder[0-9]+)?)\.?")
LONGEST = 400  # characters of a drill: it fits the context of the model
PARTS = {"double": 2, "triple": 3, "half": 2, "third": 3, "quarter": 4, "fifth": 5, "tenth": 10}


class Sum(NamedTuple):
    """One exercise: the numbers in the order of the prompt, and its lines, of which the last is the whole."""

    kind: str
    signs: str
    """The expression with `{}` for the numbers."""
    numbers: tuple[str, ...]
    lines: list[str]
    key: str
    plainly: bool = False
    """Whether only signs and the plainest words fit it: nothing goes into 17 zero times."""


@dataclass(frozen=True)
class Sums:
    """Plain arithmetic; the answer is one equation, after the lines that lead to it: `41*20=820`, ..., `41*23=943`.

    Split key: what the numbers make. `3+4`, `4+3` and `7-4` are of one split, and so are the products and the
    quotients of the same three numbers. Number facts (sums to 20, times tables to 12) and the plainest wordings are
    always trained.

    With `drill`, a document of equations without words, of which the results alone are learned.
    """

    drill: bool = False

    name: ClassVar[str] = "sums"
    description: ClassVar[str] = "add, subtract, multiply or divide numbers to 999, in any wording"
    rule: ClassVar[str] = "the last line is the right result, alone or behind its equation; the lines before are free"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        return self._document(rng) if self.drill else self._request(rng)

    def passes(self, example: Example, output: str) -> bool:
        if self.drill:
            return output.split() == example.answer.split()
        last = output.strip().rpartition("\n")[2].strip()
        if example.answer in SENTENCES:
            return last == example.answer
        result = RESULT.fullmatch(last.replace(" ", ""))
        return result is not None and result[1] == example.answer.rpartition("=")[2].replace(" ", "")

    def _request(self, rng: Random) -> Example:
        drawn = rng.choices(tuple(KINDS), tuple(KINDS.values()))[0](rng)
        parts, prompt = worded(rng, drawn)
        return Example(prompt, "\n".join(drawn.lines), drawn.key, frame=frame_of(self, *(parts or [PLAIN])))

    def _document(self, rng: Random) -> Example:
        """Draw equations of one split only, so that the first can name the document."""
        wanted = rng.randint(4, 14)
        key, lines, answer, holes = "", 0, "", list[tuple[int, int]]()
        while lines < wanted:
            drawn = rng.choices(tuple(DRILLED), tuple(DRILLED.values()))[0](rng)
            text = "\n".join(drawn.lines)
            if len(answer) + len(text) > LONGEST:
                break
            if key and split_of(self, drawn.key) != split_of(self, key):
                continue
            key, lines = key or drawn.key, lines + len(drawn.lines)
            holes += [(start + len(answer), stop + len(answer)) for start, stop in worked_out(text)]
            answer += text + "\n"
        return Example("", answer.rstrip("\n"), key, tuple(holes), learned="holes")


# The words of a request


@cache
def wordings() -> Mapping[str, Mapping[str, Sequence[str]]]:
    """Return the patterns: by the kind of wording, then by the kind of sum."""
    texts = tomllib.loads(files(__package__).joinpath("phrases/sums.toml").read_text("utf-8"))
    for form in ("words", "nouns", "commands", "questions"):
        texts[form]["rem"] = texts[form]["div"]
    return texts


def worded(rng: Random, drawn: Sum) -> tuple[list[str], str]:
    """Return the parts of the wording that can be held out, none for the plainest; and the prompt."""
    spelled = rng.random() < 0.2 and all(number.isdecimal() and int(number) <= LARGEST for number in drawn.numbers)
    numbers = [_in_words(rng, number) for number in drawn.numbers] if spelled else drawn.numbers
    slots = dict(zip("abc", numbers, strict=False))
    texts = wordings()
    forms = [form for form, weight in FORMS if drawn.kind in texts[form] for _ in range(weight)]
    form = rng.choice([*forms, *["signs"] * (8 if drawn.kind in "add sub mul div rem chain mixed" else 0)])
    if drawn.plainly and form != "signs":
        form = "words"
    if form == "signs" and not (spelled and drawn.kind in texts["words"]):
        return _asked(rng, [], _in_signs(rng, drawn.signs, numbers))
    patterns = texts["words" if form == "signs" else form][drawn.kind]
    plainest = patterns[0] if form in ("signs", "words") else ""
    chosen = plainest if drawn.plainly else frame(rng, patterns)
    if "}s" in chosen:  # how many 7s
        slots = dict(zip("abc", drawn.numbers, strict=False))
    parts, said = [chosen] if chosen != plainest else [], fill(chosen, **slots)
    if form in ("signs", "words", "nouns"):
        return _asked(rng, parts, said)
    around = texts["around"]["commands" if form == "commands" else "questions"]
    return parts, _typed(rng, rng.choice(around).replace("{c}", said))


FORMS = (("words", 3), ("nouns", 3), ("commands", 3), ("questions", 3), ("exact", 1), ("remainder", 1))


def _asked(rng: Random, parts: list[str], expression: str) -> tuple[list[str], str]:
    """Ask for an expression, in half of the draws as plainly as can be."""
    texts = wordings()["around"]
    if rng.random() < 0.5:
        asked = rng.choice(texts["plain"])
    else:
        asked = frame(rng, texts["ask"])
        parts = [*parts, asked]
    return parts, _typed(rng, asked.replace("{e}", expression))


def _typed(rng: Random, text: str) -> str:
    text = casual(rng, text[:1].upper() + text[1:]).strip()
    return text if not text.endswith("!") or text[-2:-1].isalpha() else text[:-1].rstrip()  # 5! is another number


def _in_signs(rng: Random, signs: str, numbers: Sequence[str]) -> str:
    if "(" not in signs and rng.random() < 0.15:
        return SIGN.sub(lambda sign: f" {SPOKEN[sign[0]]} ", signs).format(*numbers)
    space = rng.choice(SPACES) if numbers[0][:1].isdigit() else " {} "
    return SIGN.sub(lambda sign: space.format(rng.choice(SIGNS[sign[0]])), signs).format(*numbers)


def _in_words(rng: Random, number: str) -> str:
    words = in_words(int(number))
    style = rng.randrange(6)
    if style == 0:
        return words.replace("-", " ")
    return words.replace(" and ", " ") if style == 1 else words


# The sums themselves


def _add(rng: Random) -> Sum:
    left, right = _two(rng)
    key = _sum_key(left, right)
    return Sum("add", "{}+{}", (str(left), str(right)), [f"{left}+{right}={left + right}"], key)


def _sub(rng: Random) -> Sum:
    right, left = sorted(_two(rng))
    key = _sum_key(right, left - right)
    if below := right < left and rng.random() < 0.12:
        left, right = right, left
    return Sum("sub", "{}-{}", (str(left), str(right)), [f"{left}-{right}={left - right}"], key, plainly=below)


def _mul(rng: Random) -> Sum:
    left, right = _factors(rng)
    return Sum("mul", "{}*{}", (str(left), str(right)), product(left, right), _product_key(left, right))


def _div(rng: Random) -> Sum:
    times, right = _factors(rng)
    right = max(right, 1)
    left = times * right
    if left > LARGEST:
        return _div(rng)
    return Sum("div", "{}/{}", (str(left), str(right)), division(left, right), _product_key(times, right))


def _rem(rng: Random) -> Sum:
    right = rng.randint(2, 12) if rng.random() < 0.6 else rng.randint(13, 99)
    left = rng.randint(1, 12 * right if rng.random() < 0.5 and right <= 12 else LARGEST)
    times, rest = divmod(left, right)
    if not rest or (not times and rng.random() < 0.9):
        return _rem(rng)
    key = FACTS if right <= 12 and times <= 12 else f"rem {left} {right}"
    return Sum("rem", "{}/{}", (str(left), str(right)), division(left, right), key, plainly=not times)


def _chain(rng: Random) -> Sum:
    """A sum of three or four numbers, some of them taken away."""
    top = rng.choice((10, 20, 100, 100, 300))
    first, *others = (rng.randint(1, top) for _ in range(rng.choice((3, 3, 3, 3, 4))))
    signs = rng.choices("+-", (4, 1), k=len(others))
    value, lines, whole = first, list[str](), str(first)
    for sign, other in zip(signs, others, strict=True):
        after = value + other if sign == "+" else value - other
        if after < 0:
            return _chain(rng)
        lines.append(f"{value}{sign}{other}={after}")
        value, whole = after, f"{whole}{sign}{other}"
    key = " ".join(["chain", *sorted([f"+{first}", *map("{}{}".format, signs, others)])])
    kind = "chain" if len(others) == 2 and "-" not in signs else "mixed"
    numbers = tuple(map(str, (first, *others)))
    return Sum(kind, "{}" + "".join(f"{sign}{{}}" for sign in signs), numbers, [*lines, f"{whole}={value}"], key)


def _mixed(rng: Random) -> Sum:
    """A product and a sum, with and without brackets."""
    one, two, three = rng.randint(2, 12), rng.randint(2, 12), rng.randint(1, 50)
    signs, value = rng.choice(("{}+{}*{}", "{}-{}*{}", "{}*{}+{}", "{}*{}-{}", "({}+{})*{}", "{}*({}+{})")), one * two
    first, after = f"{one}*{two}={value}", 0
    if signs.startswith("{}*{}"):
        numbers = (one, two, three)
        after = value + three if "+" in signs else value - three
        second = f"{value}{signs[5]}{three}={after}"
    elif signs[2] in "+-":
        numbers = (three, one, two)
        after = three + value if "+" in signs else three - value
        second = f"{three}{signs[2]}{value}={after}"
    else:
        three = three % 12 + 2
        numbers = (one, two, three) if signs[0] == "(" else (three, one, two)
        after = (one + two) * three
        first = f"{one}+{two}={one + two}"
        second = f"{one + two}*{three}={after}" if signs[0] == "(" else f"{three}*{one + two}={after}"
    if after < 0:
        return _mixed(rng)
    texts = tuple(map(str, numbers))
    whole = signs.format(*texts)
    return Sum("mixed", signs, texts, [first, second, f"{whole}={after}"], f"mixed {whole}")


def _scaled(rng: Random) -> Sum:
    """`double 35`, `a third of 48`, `7 squared`."""
    kind = rng.choice(("double", "double", "triple", "half", "half", "half", *PARTS, "square"))
    by = PARTS.get(kind, 0)
    number = rng.randint(1, rng.choice((12, 50, 50, 300)))
    if kind == "square":
        number = number % 31
        return Sum(kind, "", (str(number),), product(number, number), _product_key(number, number))
    if kind in ("double", "triple"):
        return Sum(kind, "", (str(number),), product(number, by), _product_key(number, by))
    number = min(number, LARGEST // by)
    return Sum(kind, "", (str(number * by),), division(number * by, by), _product_key(number, by))


def _refused(rng: Random) -> Sum:
    """A sum with a sentence for an answer."""
    kind = rng.choice(("add", "sub", "mul", "div"))
    one, two = str(rng.randint(0, LARGEST)), str(rng.randint(1, 50))
    sentence = rng.choice((ZERO, BEYOND, BEYOND, BEYOND, FRACTION, TOO_LARGE))
    if sentence == ZERO:
        kind, two = "div", "0"
    elif sentence == TOO_LARGE:
        kind, one, two = "mul", str(rng.randint(100, LARGEST)), str(rng.randint(10, LARGEST))
    elif sentence == BEYOND:
        value = rng.randint(1, 9) * 10 ** rng.randint(3, 7) + rng.choice((0, rng.randrange(1000)))
        one = f"{value:,}" if rng.random() < 0.3 else str(value)
    else:
        one = f"{one if rng.random() < 0.2 else rng.randint(0, 20)}.{rng.randint(1, 9)}"
    if sentence != ZERO and rng.random() < 0.4:
        one, two = two, one
    signs = {"add": "{}+{}", "sub": "{}-{}", "mul": "{}*{}", "div": "{}/{}"}[kind]
    return Sum(kind, signs, (one, two), [sentence], f"{kind} {one} {two}", plainly=True)


def _two(rng: Random) -> tuple[int, int]:
    top = rng.choice((10, 20, 100, 100, 100, LARGEST, LARGEST, LARGEST, LARGEST))
    if top == LARGEST and rng.random() < 0.4:
        pair = [rng.randint(0, top), rng.randint(0, 99)]
        rng.shuffle(pair)
        return pair[0], pair[1]
    return rng.randint(0, top), rng.randint(0, top)


def _factors(rng: Random) -> tuple[int, int]:
    """Two factors, mostly of a product to 999."""
    shape = rng.random()
    if shape < 0.3:
        pair = [rng.randint(0, 12), rng.randint(0, 12)]
    elif shape < 0.5:
        pair = [rng.randint(2, 9), rng.randint(11, 99)]
    elif shape < 0.75:
        small = rng.randint(10, 31)
        pair = [small, rng.randint(small, min(99, LARGEST // small))]
    elif shape < 0.9:
        small = rng.randint(2, 9)
        pair = [small, rng.randint(100, LARGEST // small)]
    elif shape < 0.95:
        pair = [rng.randint(2, 9), rng.randint(100, LARGEST)]
    else:
        pair = [rng.randint(10, 99), rng.randint(10, 99)]
    rng.shuffle(pair)
    return pair[0], pair[1]


def _sum_key(left: int, right: int) -> str:
    small, large = sorted((left, right))
    return FACTS if small + large <= 20 else f"add {small} {large}"


def _product_key(left: int, right: int) -> str:
    small, large = sorted((left, right))
    return FACTS if large <= 12 else f"mul {small} {large}"


KINDS: dict[Callable[[Random], Sum], int] = {
    _add: 26,
    _sub: 24,
    _mul: 20,
    _div: 12,
    _rem: 5,
    _chain: 8,
    _mixed: 3,
    _scaled: 8,
    _refused: 3,
}
DRILLED: dict[Callable[[Random], Sum], int] = {_add: 25, _sub: 25, _mul: 22, _div: 14, _rem: 6, _chain: 5, _mixed: 3}
