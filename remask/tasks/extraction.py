"""JSON from a sentence about a person, or about another thing with fields."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar, NamedTuple

from .example import Example
from .phrases import people
from .phrases.extraction import (
    ANIMALS,
    BOOKS,
    DAYS,
    EVENTS,
    GOODS,
    HAPPENINGS,
    NAMED,
    ORDERED,
    ORDERS,
    PEOPLE,
    PET_NAMES,
    PETS,
    PRODUCTS,
    SURNAMES,
    TIMES,
    TITLE_ENDS,
    TITLE_STARTS,
    WHOLE,
)
from .split import frame_of
from .wording import casual, fill, frame, in_words, sentence

NAMES = (
    *("Adam", "Alice", "Amy", "Anna", "Ben", "Bella", "Carl", "Carol", "Chloe", "Clara", "Dan", "David"),
    *("Diana", "Elena", "Emma", "Eric", "Eva", "Felix", "Fiona", "Frank", "Grace", "Hannah", "Harry", "Helen"),
    *("Henry", "Ida", "Ivan", "Jack", "James", "Jane", "Julia", "Karl", "Kate", "Laura", "Leo", "Lily"),
    *("Linda", "Louis", "Lucy", "Maria", "Mark", "Mary", "Max", "Mia", "Nina", "Noah", "Nora", "Olga"),
    *("Oscar", "Paul", "Peter", "Rosa", "Ruth", "Sam", "Sara", "Simon", "Sofia", "Tom", "Vera", "Zoe"),
)
CITIES = (
    *("Athens", "Berlin", "Bern", "Boston", "Cairo", "Chicago", "Dublin", "Geneva", "Hamburg", "Helsinki"),
    *("Istanbul", "Kyoto", "Lagos", "Leeds", "Lima", "Lisbon", "London", "Lyon", "Madrid", "Milan"),
    *("Moscow", "Mumbai", "Munich", "Nairobi", "Naples", "Oslo", "Oxford", "Paris", "Porto", "Prague"),
    *("Quito", "Riga", "Rome", "Seoul", "Sydney", "Tokyo", "Toronto", "Turin", "Vienna", "Warsaw"),
)
JOBS = (
    *("actor", "artist", "baker", "builder", "cook", "dentist", "doctor", "driver", "engineer", "farmer"),
    *("gardener", "judge", "lawyer", "nurse", "painter", "pilot", "singer", "teacher", "waiter", "writer"),
)
SENTENCES = (
    "{name} is {age} years old and lives in {city}.",
    "{name} lives in {city} and is {age} years old.",
    "{name} from {city} is {age} years old.",
    "{age}-year-old {name} lives in {city}.",
    "In {city} lives {name}, who is {age}.",
    "{name} lives in {city}.",
    "{name} works as {job} and is {age} years old.",
    "{name} is {job} in {city}.",
    "{name}, {age}, is {job} in {city}.",
    "{name} is {age} years old and works in {city} as {job}.",
    "{name} is {job} from {city}, aged {age}.",
    "At {age}, {name} works as {job} in {city}.",
)
MAX_OUTPUT = 1000
"""The longest output, in characters, that can pass: several times the longest answer."""


@dataclass(frozen=True)
class Extraction:
    """`Extract JSON: Anna is 34 years old and lives in Paris.` → `{"name": "Anna", "age": 34, "city": "Paris"}`

    The answer has exactly the fields that the sentence states, in the order name, age, city, job.

    Split key: the JSON. The same person in another sentence is the same solution.
    """

    name: ClassVar[str] = "extraction"
    description: ClassVar[str] = "extract a person's name, age, city and job from a sentence as JSON"
    rule: ClassVar[str] = "the output is JSON with the right fields and values, in any order, each field once"
    heldout_share: ClassVar[float] = 0.1

    def draw(self, rng: Random) -> Example:
        sentence = rng.choice(SENTENCES)
        person = {
            "name": rng.choice(NAMES),
            "age": rng.randint(18, 79),
            "city": rng.choice(CITIES),
            "job": rng.choice(JOBS),
        }
        text = sentence.format_map(person | {"job": _with_article(str(person["job"]))})
        answer = json.dumps({field: value for field, value in person.items() if f"{{{field}}}" in sentence})
        return Example(f"Extract JSON: {text}", answer, solution=answer)

    def passes(self, example: Example, output: str) -> bool:
        return len(output) <= MAX_OUTPUT and _canonical(output) == _canonical(example.answer)


@dataclass(frozen=True)
class RewordedExtraction:
    """`Give me the name and age as JSON: Meet Anna, a 34 year old baker.` → `{"name": "Anna", "age": 34}`

    People, products, events, pets, books and orders, in free sentences. The answer has the fields that are asked for,
    else all that the sentence states, in the order of `SCHEMAS`. Numbers in words are numbers in the answer.

    Split key: the JSON, as of `Extraction`.
    """

    name: ClassVar[str] = Extraction.name
    description: ClassVar[str] = "extract what a free sentence states, or the fields asked for, as JSON"
    rule: ClassVar[str] = Extraction.rule
    heldout_share: ClassVar[float] = Extraction.heldout_share

    def draw(self, rng: Random) -> Example:
        schema = rng.choices(SCHEMAS, weights=SCHEMA_WEIGHTS)[0]
        form = frame(rng, schema.forms)
        facts = schema.facts(rng)
        stated = [field for field in schema.fields if any(slot in form for slot in SLOTS[field])]
        named = rng.random() < 0.4
        asked = sorted(rng.sample(stated, rng.randint(1, len(stated))), key=stated.index) if named else stated
        request = frame(rng, NAMED if named else WHOLE)
        text = _stated(rng, form, facts)
        if request.endswith("{text}") and text[-1] == "." and rng.random() < 0.15:
            text = text[:-1]
        prompt = _request(rng, request, _series(rng, asked)).replace("{text}", text)
        answer = json.dumps({field: facts[field] for field in asked})
        return Example(prompt, answer, answer, frame=frame_of(self, form, request))

    def passes(self, example: Example, output: str) -> bool:
        return Extraction().passes(example, output)


class Schema(NamedTuple):
    """Fields in the order of the answer, sentences that state them, and values for them."""

    fields: tuple[str, ...]
    forms: tuple[str, ...]
    facts: Callable[[Random], dict[str, str | int]]


def _person(rng: Random) -> dict[str, str | int]:
    return {
        "name": rng.choice(people.NAMES),
        "age": rng.randint(16, 99),
        "city": rng.choice(people.CITIES),
        "job": rng.choice(people.JOBS),
    }


def _product(rng: Random) -> dict[str, str | int]:
    return {"item": rng.choice(GOODS), "price": rng.randint(2, rng.choice((20, 100, 999)))}


def _event(rng: Random) -> dict[str, str | int]:
    return {"event": rng.choice(HAPPENINGS), "day": rng.choice(DAYS), "time": rng.choice(TIMES)}


def _pet(rng: Random) -> dict[str, str | int]:
    return {"name": rng.choice(PET_NAMES), "animal": rng.choice(ANIMALS), "age": rng.randint(2, 20)}


def _book(rng: Random) -> dict[str, str | int]:
    title = f"{rng.choice(TITLE_STARTS)} {rng.choice(TITLE_ENDS)}"
    author = f"{rng.choice(people.NAMES)} {rng.choice(SURNAMES)}"
    return {"title": title, "author": author, "year": rng.randint(1850, 2025)}


def _order(rng: Random) -> dict[str, str | int]:
    return {"item": rng.choice(ORDERED), "count": rng.randint(2, rng.choice((12, 99)))}


SCHEMAS = (
    Schema(("name", "age", "city", "job"), PEOPLE, _person),
    Schema(("item", "price"), PRODUCTS, _product),
    Schema(("event", "day", "time"), EVENTS, _event),
    Schema(("name", "animal", "age"), PETS, _pet),
    Schema(("title", "author", "year"), BOOKS, _book),
    Schema(("item", "count"), ORDERS, _order),
)
SCHEMA_WEIGHTS = (12, 2, 2, 2, 2, 2)
SLOTS = {field: (f"{{{field}}}", f"{{a_{field}}}") for schema in SCHEMAS for field in schema.fields}
WORDED = ("age", "count")  # the numbers that people also write in words


def _stated(rng: Random, form: str, facts: dict[str, str | int]) -> str:
    """Return the sentence; what begins with a thing's name keeps its small letter, for so the answer writes it."""
    name = str(facts.get("name") or rng.choice(people.NAMES))
    he, his = ("she", "her") if name in WOMEN else ("he", "his")
    shown = {"name": name, "he": he, "He": he.capitalize(), "his": his} | facts
    if job := facts.get("job"):
        shown["a_job"] = _with_article(str(job))
    for field in WORDED:
        if field in facts and rng.random() < 0.1:
            shown[field] = in_words(int(facts[field]))
    if "age" in facts:
        shown["a_age"] = _with_article(str(shown["age"]))
    text = sentence(fill(form, **shown))
    return text[0].lower() + text[1:] if form.startswith(("{item}", "{event}")) else text


def _series(rng: Random, fields: Sequence[str]) -> str:
    """Name the fields: `name, age and city`, mostly in their order."""
    if rng.random() < 0.15:
        fields = rng.sample(fields, len(fields))
    if rng.random() < 0.3:
        return ", ".join(fields)
    *others, last = fields
    return f"{', '.join(others)} and {last}" if others else last


def _request(rng: Random, request: str, fields: str) -> str:
    """Write the request as people type it, with the place of its `{text}` left open."""
    request = request.replace("{fields}", fields)
    if request.startswith("{text} "):
        return "{text} " + casual(rng, sentence(request.removeprefix("{text} ")))
    if not request.endswith("{text}"):
        return casual(rng, sentence(request))
    head = request.removesuffix("{text}")
    head = head.lower() if rng.random() < 0.3 else head[0].upper() + head[1:]
    return (head if rng.random() < 0.75 else head.rstrip(" ") + "\n") + "{text}"


WOMEN = frozenset(people.WOMEN)


def _with_article(noun: str) -> str:
    """Put `a` or `an` before a noun, or before a number as it is spoken."""
    return f"an {noun}" if noun[0] in "aeiou8" or noun in ("11", "18") else f"a {noun}"


def _canonical(text: str) -> str | None:
    """Return the JSON value as text with sorted keys, so that 34 and 34.0 differ; None if `text` is not JSON."""
    try:
        return json.dumps(json.loads(text.strip(), object_pairs_hook=_each_once), sort_keys=True)
    except (ValueError, RecursionError):
        return None


def _each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Return an object of these fields. Raises ValueError if a field is there twice, which JSON itself allows."""
    if len(fields := dict(pairs)) < len(pairs):
        raise ValueError("a field is there twice")
    return fields
