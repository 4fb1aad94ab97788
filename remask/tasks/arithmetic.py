"""Word problems, solved step by step, and the equations of their steps."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, NamedTuple

from .example import Example
from .steps import same_result, worked_out, written

WOMEN = ("Lily", "Joy", "Anna", "Emma", "Mia", "Nora", "Rosa", "Sara", "Lucy", "Zoe")
MEN = ("Randy", "Tom", "Ben", "Jack", "Leo", "Max", "Noah", "Paul", "Sam", "Tim")
TREES = (
    *("mango", "coconut", "apple", "pear", "cherry", "plum", "lemon", "orange", "olive", "fig"),
    *("peach", "palm", "oak", "pine", "maple", "walnut", "almond", "birch", "willow", "lime"),
)
THINGS = (
    *("pens", "books", "apples", "cards", "balls", "cups", "cakes", "coins", "stamps", "toys"),
    *("pears", "shells", "stones", "eggs", "hats", "kites", "plums", "rings", "stickers", "cookies"),
)
MOVES = (("run", "runs"), ("walk", "walks"), ("ride", "rides"), ("skate", "skates"))


class Person(NamedTuple):
    """A name and its pronouns."""

    name: str
    they: str
    them: str
    their: str


PEOPLE = tuple(Person(name, "she", "her", "her") for name in WOMEN) + tuple(
    Person(name, "he", "him", "his") for name in MEN
)

Operands = tuple[int, ...]


class Family(NamedTuple):
    """Problems that differ only in their operands and words."""

    name: str
    operands: Sequence[Operands]
    pose: Callable[[Random, Operands], str]
    steps: Callable[[Operands], list[str]]


def _pose_speeds(rng: Random, operands: Operands) -> str:
    fast, hours, slow, total = operands
    who, (move, moves) = rng.choice(PEOPLE), rng.choice(MOVES)
    return (
        f"{who.name} can {move} {fast} kilometers per hour for {hours} hours. "
        f"After that, {who.they} {moves} {slow} kilometers per hour. "
        f"How many kilometers can {who.they} {move} in {total} hours?"
    )


def _solve_speeds(operands: Operands) -> list[str]:
    fast, hours, slow, total = operands
    before, rest = fast * hours, total - hours
    return [
        f"{fast}*{hours}={before}",
        f"{total}-{hours}={rest}",
        f"{slow}*{rest}={slow * rest}",
        f"{before}+{slow * rest}={before + slow * rest}",
    ]


def _pose_reading(rng: Random, operands: Operands) -> str:
    pages, minutes, total = operands
    who = rng.choice(PEOPLE)
    return (
        f"{who.name} can read {pages} pages of a book in {minutes} minutes. "
        f"How many hours will it take {who.them} to read {total} pages?"
    )


def _solve_reading(operands: Operands) -> list[str]:
    pages, minutes, total = operands
    times = total // pages
    return [
        f"{total}/{pages}={times}",
        f"{times}*{minutes}={times * minutes}",
        f"{times * minutes}/60={times * minutes // 60}",
    ]


def _pose_trees(rng: Random, operands: Operands) -> str:
    count, less = operands
    who, (many, few) = rng.choice(PEOPLE), rng.sample(TREES, 2)
    return (
        f"{who.name} has {count} {many} trees on {who.their} farm. "
        f"{who.they.title()} also has {less} less than half as many {few} trees as {many} trees. "
        f"How many trees does {who.name} have in all on {who.their} farm?"
    )


def _solve_trees(operands: Operands) -> list[str]:
    count, less = operands
    half = count // 2
    return [f"{count}/2={half}", f"{half}-{less}={half - less}", f"{count}+{half - less}={count + half - less}"]


def _pose_buying(rng: Random, operands: Operands) -> str:
    first, first_price, second, second_price = operands
    who, (one, other) = rng.choice(PEOPLE), rng.sample(THINGS, 2)
    return (
        f"{who.name} buys {first} {one} for {first_price} dollars each and {second} {other} for {second_price} "
        f"dollars each. How many dollars does {who.they} spend?"
    )


def _solve_buying(operands: Operands) -> list[str]:
    first, first_price, second, second_price = operands
    one, other = first * first_price, second * second_price
    return [f"{first}*{first_price}={one}", f"{second}*{second_price}={other}", f"{one}+{other}={one + other}"]


def _pose_giving(rng: Random, operands: Operands) -> str:
    count, given, got = operands
    (who, friend, other), things = rng.sample(PEOPLE, 3), rng.choice(THINGS)
    return (
        f"{who.name} has {count} {things}. {who.they.title()} gives {given} to {friend.name} and gets {got} from "
        f"{other.name}. How many {things} does {who.name} have now?"
    )


def _solve_giving(operands: Operands) -> list[str]:
    count, given, got = operands
    return [f"{count}-{given}={count - given}", f"{count - given}+{got}={count - given + got}"]


def _pose_sharing(rng: Random, operands: Operands) -> str:
    count, friends = operands
    who, things = rng.choice(PEOPLE), rng.choice(THINGS)
    return (
        f"{who.name} shares {count} {things} equally among {friends} friends. How many {things} does each friend get?"
    )


def _solve_sharing(operands: Operands) -> list[str]:
    count, friends = operands
    return [f"{count}/{friends}={count // friends}"]


def _pose_keeping(rng: Random, operands: Operands) -> str:
    count, kept, friends = operands
    who, things = rng.choice(PEOPLE), rng.choice(THINGS)
    return (
        f"{who.name} has {count} {things}. {who.they.title()} keeps {kept} and shares the rest equally among "
        f"{friends} friends. How many {things} does each friend get?"
    )


def _solve_keeping(operands: Operands) -> list[str]:
    count, kept, friends = operands
    rest = count - kept
    return [f"{count}-{kept}={rest}", f"{rest}/{friends}={rest // friends}"]


def _pose_boxes(rng: Random, operands: Operands) -> str:
    boxes, each, lost = operands
    who, things = rng.choice(PEOPLE), rng.choice(THINGS)
    return (
        f"{who.name} has {boxes} boxes with {each} {things} in each box. {who.they.title()} loses {lost} {things}. "
        f"How many {things} are left?"
    )


def _solve_boxes(operands: Operands) -> list[str]:
    boxes, each, lost = operands
    return [f"{boxes}*{each}={boxes * each}", f"{boxes * each}-{lost}={boxes * each - lost}"]


SMALL = range(2, 13)
FEW = range(2, 10)
FAMILIES = (
    Family(
        "speeds",
        [
            (fast, hours, slow, hours + rest)
            for fast in SMALL
            for hours in range(2, 7)
            for slow in SMALL
            for rest in range(2, 7)
            if fast != slow and fast * hours + slow * rest < 200
        ],
        _pose_speeds,
        _solve_speeds,
    ),
    Family(
        "reading",
        [
            (pages, minutes, pages * (60 * hours // minutes))
            for pages in SMALL
            for minutes in (5, 10, 15, 20, 30)
            for hours in range(1, 7)
            if pages * (60 * hours // minutes) < 200
        ],
        _pose_reading,
        _solve_reading,
    ),
    Family(
        "trees",
        [(count, less) for count in range(10, 101, 2) for less in SMALL if less < count // 2],
        _pose_trees,
        _solve_trees,
    ),
    Family(
        "buying",
        [
            (first, first_price, second, second_price)
            for first in FEW
            for first_price in SMALL
            for second in FEW
            for second_price in SMALL
            if first * first_price + second * second_price < 200
        ],
        _pose_buying,
        _solve_buying,
    ),
    Family(
        "giving",
        [(count, given, got) for count in range(5, 61) for given in SMALL for got in SMALL if given < count],
        _pose_giving,
        _solve_giving,
    ),
    Family(
        "sharing",
        [(friends * each, friends) for friends in SMALL for each in SMALL],
        _pose_sharing,
        _solve_sharing,
    ),
    Family(
        "keeping",
        [(friends * each + kept, kept, friends) for friends in SMALL for each in SMALL for kept in SMALL],
        _pose_keeping,
        _solve_keeping,
    ),
    Family(
        "boxes",
        [(boxes, each, lost) for boxes in SMALL for each in SMALL for lost in SMALL if lost < boxes * each],
        _pose_boxes,
        _solve_boxes,
    ),
)
RESULT = re.compile(r"(?<==)\d+")


@dataclass(frozen=True)
class Arithmetic:
    """Word problems of eight families; the answer is one equation per line, then `The answer is 72.`

    Split key: the family and its operands. Names and objects are surface: a held-out problem has numbers that
    training never solved in that family.

    With `drill`, only the numbers that have to be calculated are learned, at all of their places. These are also the
    last ones that decoding decides, since everything else in an answer is easier.
    """

    drill: bool = False

    name: ClassVar[str] = "arithmetic"
    description: ClassVar[str] = "solve a word problem of one to four steps, showing the steps"
    rule: ClassVar[str] = (
        'it ends in "The answer is", the right integer and at most a full stop; the steps are not judged'
    )
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        family = rng.choice(FAMILIES)
        operands = rng.choice(family.operands)
        prompt, answer = family.pose(rng, operands), written(family.steps(operands))
        solution = " ".join([family.name, *map(str, operands)])
        if not self.drill:
            return Example(prompt, answer, solution)
        return Example(prompt, answer, solution, tuple(worked_out(answer)), learned="holes")

    def passes(self, example: Example, output: str) -> bool:
        return same_result(example, output)


@dataclass(frozen=True)
class Equations:
    """Steps of word problems without the words: `30+54=84`, one a line, with holes for the results.

    This is the beginning of the curriculum of word problems: there is far more to calculate per token, and no step
    follows from another. All operations are equally frequent.

    Split key: the equations, sorted.
    """

    fewest: int = 3
    most: int = 12

    name: ClassVar[str] = "equations"
    description: ClassVar[str] = "fill in the results of three to twelve equations"
    rule: ClassVar[str] = "the equations are the right ones, spaces apart"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        lines = [_equation(rng, rng.choice("+-*/")) for _ in range(rng.randint(self.fewest, self.most))]
        answer = "\n".join(lines)
        holes = tuple(result.span() for result in RESULT.finditer(answer))
        return Example("", answer, " ".join(sorted(lines)), holes, learned="holes")

    def passes(self, example: Example, output: str) -> bool:
        return output.split() == example.answer.split()


def _equation(rng: Random, operation: str) -> str:
    """Draw a step of a word problem with the given `operation`."""
    while True:
        family = rng.choice(FAMILIES)
        step = rng.choice(family.steps(rng.choice(family.operands)))
        if operation in step:
            return step
