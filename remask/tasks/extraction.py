"""JSON from a sentence about a person."""

import json
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from .example import Example

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


def _with_article(job: str) -> str:
    return f"an {job}" if job[0] in "aeiou" else f"a {job}"


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
