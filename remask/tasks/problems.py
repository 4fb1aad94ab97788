"""Word problems in many families and wordings, one to three steps each; the answer shows the steps."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, ClassVar, NamedTuple

from .example import Example
from .split import frame_of
from .steps import division, product, same_result, worked_out, written
from .wording import casual, frame, in_words

LARGEST = 999
TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times", 6: "six times", 10: "ten times"}
SHARES = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth", 10: "a tenth"}
RANGE = re.compile(r"(\w) (\d+)-(\d+)(?: by (\d+))?")
DERIVED = re.compile(r"(\w)=(\w)([-+*])(\w)")
STEP = re.compile(r"(\w+)([-+*/])(\w+)")
PIECE = re.compile(r"\{([^}]*)\}|\[(\w+)\]|<(\w+)>")
SENTENCE = re.compile(r"(?:^|(?<=[.?!:] ))[a-z]")
EVENT = re.compile(r"\{(\w+)(?: (\w))?\}")

Numbers = dict[str, int]


class Family(NamedTuple):
    """Problems of one structure: how its numbers are drawn, its steps, and the patterns that pose it."""

    name: str
    ranges: tuple[tuple[str, range], ...]
    derived: tuple[tuple[str, str, str, str], ...]
    steps: tuple[tuple[str, str, str], ...]
    """`x`, `y` and `z` are the results of the first three."""
    patterns: Sequence[str]


class Subject(NamedTuple):
    """Whom a problem is about, and the pronouns."""

    name: str
    they: str
    them: str
    their: str
    whose: str
    single: bool
    """Whether verbs take an s: not with `I` and `they`."""


@dataclass(frozen=True)
class Problems:
    """Word problems; the answer is one equation a line, long ones worked as in `Sums`, then `The answer is 72.`

    Split key: the family and its numbers. A wording is held out by its sentences, and by any verb or unit in it: apart
    from the commonest, 15 % of the verbs and units occur in no trained problem.

    With `drill`, only the numbers that have to be calculated are learned, at all of their places.
    """

    drill: bool = False

    name: ClassVar[str] = "problems"
    description: ClassVar[str] = "solve a word problem of one to three steps, showing the steps"
    rule: ClassVar[str] = (
        'it ends in "The answer is", the right integer and at most a full stop; the steps are not judged'
    )
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        family = rng.choice(families())
        numbers = drawn_numbers(rng, family)
        parts, prompt = posed(rng, family, numbers)
        answer = written(solved(family, numbers))
        solution = " ".join([family.name, *(str(numbers[name]) for name in sorted(numbers))])
        wording = frame_of(self, *parts)
        if not self.drill:
            return Example(prompt, answer, solution, frame=wording)
        return Example(prompt, answer, solution, tuple(worked_out(answer)), learned="holes", frame=wording)

    def passes(self, example: Example, output: str) -> bool:
        return same_result(example, output)


# Numbers and steps


def solved(family: Family, numbers: Mapping[str, int]) -> list[str]:
    """Return the lines of all steps."""
    lines: list[str] = []
    values = dict(numbers)
    for name, (left, sign, right) in zip("xyz", family.steps, strict=False):
        one, two = _value(left, values), _value(right, values)
        values[name] = _calculated(one, sign, two)
        if sign in "*/":
            lines += product(one, two) if sign == "*" else division(one, two)
        else:
            lines.append(f"{one}{sign}{two}={values[name]}")
    return lines


def drawn_numbers(rng: Random, family: Family) -> Numbers:
    """Draw numbers for which every step has a whole result between 1 and 999."""
    while True:
        numbers = {name: rng.choice(values) for name, values in family.ranges}
        for name, left, sign, right in family.derived:
            numbers[name] = _calculated(numbers[left], sign, numbers[right])
        if _works(family, numbers):
            return {name: number for name, number in numbers.items() if name < "p"}


def _works(family: Family, numbers: Numbers) -> bool:
    values = dict(numbers)
    for name, (left, sign, right) in zip("xyz", family.steps, strict=False):
        one, two = _value(left, values), _value(right, values)
        if not two or (sign == "/" and one % two):
            return False
        values[name] = _calculated(one, sign, two)
        if not 1 <= values[name] <= LARGEST:
            return False
    return all(0 < number <= LARGEST for number in numbers.values())


def _value(name: str, values: Mapping[str, int]) -> int:
    return int(name) if name.isdecimal() else values[name]


def _calculated(one: int, sign: str, two: int) -> int:
    return one + two if sign == "+" else one - two if sign == "-" else one * two if sign == "*" else one // two


# Words


def posed(rng: Random, family: Family, numbers: Numbers) -> tuple[list[str], str]:
    """Return the parts of the wording that can be held out, and the problem in words."""
    chosen = frame(rng, family.patterns)
    parts = [chosen]

    def event(slot: re.Match[str]) -> str:
        if slot[1] not in phrases():
            return slot[0]
        while (text := frame(rng, phrases()[slot[1]])) in parts:
            pass
        parts.append(text)
        return text.replace("{n}", f"{{{slot[2]}}}").replace("{$n}", f"{{${slot[2]}}}")

    text = EVENT.sub(event, chosen) if _eventful(chosen) else chosen
    scene = Scene(rng, numbers)
    pieces = [literal if kind == "text" else scene.word(kind, literal) for kind, literal in _pieces(text)]
    prompt = SENTENCE.sub(lambda letter: letter[0].upper(), "".join(pieces))
    return [*parts, *scene.rare], casual(rng, prompt, 0.3)


@dataclass
class Scene:
    """The choices of one problem: who, what, when and in which units."""

    rng: Random
    numbers: Numbers
    chosen: dict[str, str] = field(default_factory=dict)
    rare: list[str] = field(default_factory=list)
    """Verbs and units that can be held out by themselves."""

    def __post_init__(self) -> None:
        self.subject = _subject(self.rng)
        self.past = self.rng.random() < 0.4
        self.spelled = self.rng.choices((0.0, 0.5, 1.0), (80, 6, 14))[0]
        self.signs = self.rng.random() < 0.5

    def word(self, kind: str, text: str) -> str:
        """Return the word for a slot, a verb of the subject (`own`), or a verb of somebody else (`other`)."""
        if kind == "slot":
            return self.chosen.get(text) or self._filled(text)
        if text not in words().basic:
            self.rare.append(f"verb {text}")
        return inflected(
            text, self.past, self.subject.single or kind == "other", self.subject.they == "I" and kind == "own"
        )

    def _filled(self, slot: str) -> str:
        if slot in self.numbers:
            value = self._number(slot)
        elif slot in Subject._fields or slot in ("do", "did", "has", "is", "both"):
            value = self._person(slot)
        elif slot[0] == "$":
            value = self._money(slot[1:])
        elif slot.startswith("times_"):
            value = TIMES.get(self.numbers[slot[6:]], f"{self.numbers[slot[6:]]} times")
        elif slot.startswith("share_"):
            value = SHARES[self.numbers[slot[6:]]]
        elif slot.startswith("a_"):
            value = self.word("slot", slot[2:])
            value = f"an {value}" if value[0] in "aeiou" else f"a {value}"
        else:
            value = self._noun(slot)
        self.chosen[slot] = value
        return value

    def _number(self, slot: str) -> str:
        number = self.numbers[slot]
        return in_words(number) if number <= 100 and self.rng.random() < self.spelled else str(number)

    def _person(self, slot: str) -> str:
        if slot in ("do", "did"):
            return "did" if slot == "did" and self.past else "does" if self.subject.single else "do"
        if slot == "both":
            return "we" if self.subject.they == "I" else "they"
        if slot in ("has", "is"):
            return inflected("have" if slot == "has" else "be", False, self.subject.single, self.subject.they == "I")
        return str(getattr(self.subject, slot))

    def _money(self, slot: str) -> str:
        unit = self.word("slot", "dollars")
        if self.signs and unit in MARKS:
            return f"{MARKS[unit]}{self.numbers[slot]}"
        return f"{self.word('slot', slot)} {unit if self.numbers[slot] != 1 else words().singular[unit]}"

    def _noun(self, slot: str) -> str:
        """Choose a word of a table: `things` or `thing`; `things2` is another one."""
        table = slot.rstrip("23")
        plural = PLURALS.get(table, table)
        if plural != table:
            return words().singular[self.word("slot", plural + slot[len(table) :])]
        if table in ("friend", "other"):
            values: Sequence[str] = words().names
        else:
            values = words().tables[table]
        while (value := self.rng.choice(values)) in self.chosen.values() or value in self.subject.name:
            if table in UNITS:
                break
        if table in UNITS and value not in words().basic:
            self.rare.append(f"unit {value}")
        return value


MARKS = {"dollars": "$", "euros": "€", "pounds": "£"}
UNITS = ("dollars", "kilometers", "meters", "yards", "kilograms", "liters")
PLURALS = {
    "thing": "things",
    "food": "foods",
    "animal": "animals",
    "bird": "birds",
    "flower": "flowers",
    "tree": "trees",
    "box": "boxes",
    "shelf": "shelves",
    "vehicle": "vehicles",
    "dollar": "dollars",
    "kilometer": "kilometers",
    "meter": "meters",
    "kilogram": "kilograms",
    "liter": "liters",
    "craft": "crafts",
    "fruit": "fruits",
    "pastry": "pastries",
}


def inflected(verb: str, past: bool, single: bool, first: bool = False) -> str:
    """Return the form of a verb: `gives`, `give` or `gave`."""
    if verb == "be":
        return ("was" if single or first else "were") if past else "am" if first else "is" if single else "are"
    if past:
        return words().past.get(verb) or (verb + "d" if verb[-1] == "e" else _y(verb) + "ed")
    if not single:
        return verb
    if verb == "have":
        return "has"
    stem = _y(verb)
    return stem + ("es" if stem != verb or verb.endswith(("s", "sh", "ch", "x", "o")) else "s")


def _y(verb: str) -> str:
    return verb[:-1] + "i" if verb[-1] == "y" and verb[-2] not in "aeiou" else verb


def _subject(rng: Random) -> Subject:
    known = words()
    kind = rng.random()
    if kind < 0.1:
        return Subject("I", "I", "me", "my", "my", single=False)
    if kind < 0.16:
        one, two = rng.sample(known.names, 2)
        return Subject(f"{one} and {two}", "they", "them", "their", f"{one} and {two}'s", single=False)
    if kind < 0.28:
        name, they = rng.choice(known.roles)
    else:
        name, they = rng.choice(known.people)
    whose = f"{name}'" if name.endswith("s") else f"{name}'s"
    return Subject(name, they, "her" if they == "she" else "him", "her" if they == "she" else "his", whose, single=True)


@cache
def _eventful(text: str) -> bool:
    return any(slot[1] in phrases() for slot in EVENT.finditer(text))


@cache
def _pieces(text: str) -> tuple[tuple[str, str], ...]:
    """Cut a frame into texts, slots, and verbs."""
    pieces, at = list[tuple[str, str]](), 0
    for found in PIECE.finditer(text):
        pieces.append(("text", text[at : found.start()]))
        kind = ("slot", "own", "other")[(found.lastindex or 1) - 1]
        pieces.append((kind, "name" if found[0] == "{who}" else found[0][1:-1]))
        at = found.end()
    return (*pieces, ("text", text[at:]))


# The tables


class Words(NamedTuple):
    """What fills the slots."""

    people: Sequence[tuple[str, str]]
    roles: Sequence[tuple[str, str]]
    names: Sequence[str]
    tables: Mapping[str, Sequence[str]]
    singular: Mapping[str, str]
    past: Mapping[str, str]
    basic: frozenset[str]


@cache
def words() -> Words:
    """Return the words, each plural with its singular."""
    read = _read("words")
    women, men, roles = read.pop("women").split(), read.pop("men").split(), read.pop("roles")
    irregular, past, basic = _pairs(read.pop("irregular")), _pairs(read.pop("past")), read.pop("basic").split()
    tables = {name: tuple(text.replace("_", " ") for text in row.split()) for name, row in read.items()}
    plurals = {word for name, row in tables.items() if name in PLURALS.values() for word in row}
    return Words(
        people=(*((name, "she") for name in women), *((name, "he") for name in men)),
        roles=tuple(_roles(roles)),
        names=(*women, *men),
        tables=tables,
        singular={word: _singular(word, irregular) for word in plurals},
        past=past,
        basic=frozenset(basic),
    )


@cache
def families() -> Sequence[Family]:
    """Return the families in the order of their files."""
    return tuple(
        Family(
            name,
            tuple((r[1], range(int(r[2]), int(r[3]) + 1, int(r[4] or 1))) for r in RANGE.finditer(row["numbers"])),
            tuple((d[1], d[2], d[3], d[4]) for d in DERIVED.finditer(row["numbers"])),
            tuple((s[1], s[2], s[3]) for s in STEP.finditer(row["steps"])),
            row["frames"],
        )
        for name, row in (_read("changes") | _read("groups")).items()
    )


@cache
def phrases() -> Mapping[str, Sequence[str]]:
    """Return the sentences of which longer problems are put together, by what happens in them."""
    return _read("events")


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(f"phrases/{name}.toml").read_text("utf-8"))


def _pairs(text: str) -> dict[str, str]:
    return {one.replace("_", " "): other for one, other in (pair.split(" ", 1) for pair in text.split("|"))}


def _roles(text: str) -> list[tuple[str, str]]:
    """Read `my sister|she the baker|he`: a name ends at its pronoun."""
    return [(name.strip(), they) for name, they in re.findall(r"([^|]+)\|(she|he)", text)]


def _singular(plural: str, irregular: Mapping[str, str]) -> str:
    if plural.replace("_", " ") in irregular:
        return irregular[plural]
    if plural.endswith("ies"):
        return plural[:-3] + "y"
    return plural[: -2 if plural.endswith(("ches", "shes", "sses", "xes")) else -1]
