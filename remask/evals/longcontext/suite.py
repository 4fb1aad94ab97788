"""What is hidden and asked: needles in a haystack, the RULER-style tasks, key-value recall, questions on documents.

The constructions are RULER's (arXiv 2404.06654) and NeedleBench's; words, sentences and names are our own, so figures
compare with other runs of this suite, and not with published ones.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from random import Random
from uuid import UUID

from ...errors import UsageError
from ...tasks import haystack as symbols
from ...tasks.extraction import CITIES, NAMES
from ...text.tokenizer import Text
from .haystack import Filler, Frequent, Hidden, Listed, noise, stories
from .layout import Form, Frame

PLACES = (
    *("Amber", "Birch", "Cedar", "Copper", "Coral", "Crystal", "Falcon", "Granite", "Heron", "Ivory"),
    *("Juniper", "Lantern", "Maple", "Meadow", "Raven", "Saffron", "Silver", "Thistle", "Walnut", "Winter"),
)
LANDS = ("Bay", "Castle", "Cave", "Forest", "Harbour", "Hill", "Island", "Lake", "Marsh", "Tower")
TREASURES = tuple(
    f"{a} {b}"
    for a in ("Golden", "Broken", "Singing", "Frozen", "Burning", "Hollow", "Silent", "Shining", "Twisted", "Ancient")
    for b in ("Crown", "Sword", "Mirror", "Compass", "Lyre", "Shield", "Goblet", "Feather", "Hourglass", "Key")
)


@dataclass(frozen=True)
class Site:
    """Where a task hides its needle: the canvas' length in tokens, the depth in it (0 to 1), and the filler around."""

    length: int
    depth: float
    filler: Filler = stories


@dataclass(frozen=True)
class LongTask:
    """One task. `slack` tokens of answer are allowed beyond the longest reference; `group` is its column in RULER."""

    name: str
    description: str
    draw: Callable[[Random, Site], Form]
    group: str = ""
    slack: int = 4

    def gen_length(self, frame: Frame, length: int) -> int:
        """Answer positions for canvases of `length`: the longest answer of 64 draws, and the slack."""
        forms = (self.draw(Random(f"{self.name}:{i}"), Site(length, 0.5)) for i in range(64))
        return max(len(frame.encode(f" {form.answer}")) for form in forms) + self.slack


def coded(rng: Random) -> str:
    """A word that means nothing: three syllables."""
    return "".join(rng.choice("bdfghjklmnprstvz") + rng.choice("aeiou") for _ in range(3))


def distinct(draw: Callable[[Random], str], rng: Random, count: int) -> list[str]:
    """`count` different values of `draw`."""
    values: dict[str, None] = {}
    while len(values) < count:
        values[draw(rng)] = None
    return list(values)


def number(rng: Random) -> str:
    """Seven digits."""
    return str(rng.randrange(10**6, 10**7))


def uuid(rng: Random) -> str:
    """A random UUID."""
    return str(UUID(int=rng.getrandbits(128), version=4))


# --- needles ---


def needle(rng: Random, site: Site) -> Form:
    """NeedleBench's single needle: a legendary item, hidden at one depth."""
    place = f"{rng.choice(PLACES)} {rng.choice(LANDS)}"
    item = rng.choice(TREASURES)
    hidden = f"Hidden in {place} is the legendary {item}."
    return Form(
        body=Hidden((hidden,), (site.depth,), site.filler),
        intro="Read this document.",
        question=f"What is hidden in {place}?",
        stem=f"Hidden in {place} is the legendary",
        references=(item,),
        needle=hidden,
    )


@dataclass(frozen=True)
class Magic:
    """RULER's needles: `keys` of which `asked` are asked for, `values` of each; the haystack may be of needles too."""

    keys: int = 1
    values: int = 1
    asked: int = 1
    key: Callable[[Random], str] = coded
    value: Callable[[Random], str] = number
    haystack: Filler | None = None  # None: what the run takes
    crowded: bool = False  # the haystack is made of needles with other keys

    def __call__(self, rng: Random, site: Site) -> Form:
        keys = distinct(self.key, rng, self.keys)
        values = {key: distinct(self.value, rng, self.values) for key in keys}
        needles = [says(key, value) for key in keys for value in values[key]]
        rng.shuffle(needles)
        alone = len(needles) == 1
        depths = (site.depth,) if alone else tuple(sorted(rng.random() for _ in needles))
        filler = self._others(frozenset(keys)) if self.crowded else self.haystack or site.filler
        chosen = keys[: self.asked]
        answers = tuple(value for key in chosen for value in values[key])
        many = len(answers) > 1
        subject = f"the magic {'numbers' if many else 'number'} of {listed(chosen)}"
        return Form(
            body=Hidden(tuple(needles), depths, filler),
            intro="Read this document.",
            question=f"{'What are' if many else 'What is'} {subject}?",
            stem=f"{subject[0].upper()}{subject[1:]} {'are' if many else 'is'}",
            references=answers,
            needle=says(keys[0], answers[0]),
        )

    def _others(self, keys: frozenset[str]) -> Filler:
        def endless(rng: Random) -> Iterator[str]:
            while True:
                if (key := self.key(rng)) not in keys:
                    yield says(key, self.value(rng))

        return endless


def says(key: str, value: str) -> str:
    """The sentence of a pair."""
    return f"A magic number of {key} is {value}."


def listed(words: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def recall(rng: Random, site: Site) -> Form:
    """One of four pairs, asked for as the task `recall` does: the bundled model's own words."""
    keys = rng.sample("ABCDEFGHIJKLMNOPQRSTUVWXYZ", 4)
    pair, *others = (key + rng.choice("0123456789") for key in keys)
    placed = sorted([(site.depth, pair), *((rng.random(), other) for other in others)])
    return Form(
        body=Hidden(tuple(text for _, text in placed), tuple(depth for depth, _ in placed), site.filler),
        intro="Remember",
        question=f"What are {pair[0]}?",
        stem="",
        references=(pair,),
        needle=pair,
    )


def chain(rng: Random) -> Iterator[str]:
    """The study's filler, sixteen words at a time."""
    words = symbols.filler(rng)
    while True:
        yield " ".join(islice(words, 16))


def symbol_pairs(rng: Random, site: Site) -> Form:
    """One of eight pairs in the words of `tasks/haystack.py`: for models that the study trained."""
    pair, *others = symbols.pairs(rng, 8)
    placed = sorted([(site.depth, pair.text), *((rng.random(), other.text) for other in others)])
    return Form(
        body=Hidden(tuple(text for _, text in placed), tuple(depth for depth, _ in placed), chain),
        question="",
        stem=pair.question,
        references=(pair.answer,),
        needle=pair.text,
    )


# --- aggregation ---


def variables(rng: Random, site: Site) -> Form:
    """RULER's variable tracking: one chain of four hops, in order."""
    names = distinct(lambda rng: "".join(rng.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=5)), rng, 5)
    value = str(rng.randrange(10**4, 10**5))
    assignments = [f"VAR {names[0]} = {value}."]
    assignments += [f"VAR {b} = VAR {a}." for a, b in pairwise(names)]
    return Form(
        body=Hidden(tuple(assignments), tuple(sorted(rng.random() for _ in assignments)), noise),
        intro="Follow the variables in this text.",
        question=f"Which 5 variables have the value {value}?",
        stem="The variables are",
        references=tuple(names),
        needle=assignments[0],
    )


def common_words(rng: Random, site: Site) -> Form:
    """RULER's most common words of a list: ten, or fewer where there is little room."""
    often, seldom = (30, 3) if site.length >= 4096 else (6, 1)
    words = distinct(coded, rng, min(10, max(2, site.length // 128)))
    return Form(
        body=Listed(tuple(words), often, seldom, coded),
        intro="Here is a numbered list of words.",
        question=f"Which {len(words)} words of the list are the most common ones?",
        stem="The most common words are",
        references=tuple(words),
    )


def frequent_words(rng: Random, site: Site) -> Form:
    """RULER's frequent words: the three most frequent of words whose counts fall as rank^-2."""
    words = distinct(coded, rng, max(20, site.length // 50))
    return Form(
        body=Frequent(tuple(words)),
        intro="Read this coded text.",
        question="Which 3 words are the most frequent ones?",
        stem="The most frequent words are",
        references=tuple(words[:3]),
    )


# --- questions on documents ---


def person(rng: Random) -> str:
    """A name that no other person has, nearly surely."""
    return f"{rng.choice(NAMES)} {coded(rng).capitalize()}"


def people(but: frozenset[str]) -> Filler:
    """What is said of others, without end."""

    def endless(rng: Random) -> Iterator[str]:
        while True:
            if (who := person(rng)) not in but:
                yield f"{who} lives in {rng.choice(CITIES)}."
                yield f"The best friend of {who} is {person(rng)}."

    return endless


def fact(rng: Random, site: Site) -> Form:
    """One document of many answers the question."""
    who, city = person(rng), rng.choice(CITIES)
    sentence = f"{who} lives in {city}."
    return Form(
        body=Hidden((sentence,), (site.depth,), people(frozenset({who}))),
        intro="Read about these people.",
        question=f"Where does {who} live?",
        stem=f"{who} lives in",
        references=(city,),
        needle=sentence,
        part=True,
    )


def hops(rng: Random, site: Site) -> Form:
    """Two documents are needed, which stand in any order."""
    who, friend = distinct(person, rng, 2)
    city = rng.choice(CITIES)
    sentences = [f"The best friend of {who} is {friend}.", f"{friend} lives in {city}."]
    rng.shuffle(sentences)
    return Form(
        body=Hidden(tuple(sentences), tuple(sorted(rng.random() for _ in sentences)), people(frozenset({who, friend}))),
        intro="Read about these people.",
        question=f"Where does the best friend of {who} live?",
        stem=f"The best friend of {who} lives in",
        references=(city,),
        needle=next(text for text in sentences if city in text),
        part=True,
    )


NIAH = LongTask("niah", "one needle, at a depth", needle)
KV = {
    "recall": LongTask("kv", "the digit of one of four letters, at a depth", recall, slack=2),
    "symbols": LongTask("kv", "the value of one of eight keys, at a depth", symbol_pairs, slack=1),
}
RULER: dict[str, LongTask] = {
    task.name: task
    for task in (
        LongTask("single_1", "one number in repeated noise", Magic(haystack=noise), "NIAH"),
        LongTask("single_2", "one number in running text", Magic(), "NIAH"),
        LongTask("single_3", "one UUID in running text", Magic(value=uuid), "NIAH"),
        LongTask("multikey_1", "one of four keys", Magic(keys=4), "NIAH"),
        LongTask("multikey_2", "one needle in a haystack of needles", Magic(crowded=True), "NIAH"),
        LongTask("multikey_3", "the same with UUIDs", Magic(key=uuid, value=uuid, crowded=True), "NIAH"),
        LongTask("multivalue", "all four values of a key", Magic(values=4), "NIAH"),
        LongTask("multiquery", "the values of four keys", Magic(keys=4, asked=4), "NIAH"),
        LongTask("vt", "variables along a chain of assignments", variables, "AGG"),
        LongTask("cwe", "the most common words of a list", common_words, "AGG"),
        LongTask("fwe", "the three most frequent words", frequent_words, "AGG"),
        LongTask("qa_1", "a question that one document answers", fact, "QA"),
        LongTask("qa_2", "a question that needs two documents", hops, "QA"),
    )
}
LONGQA: dict[str, LongTask] = {
    "facts": LongTask("facts", "a question that one document answers", fact),
    "hops": LongTask("hops", "a question that needs two documents", hops),
}


def ruler_columns(shares: dict[str, float]) -> dict[str, float]:
    """The columns of the paper's tables from a score per task: group means, and Avg = (8·NIAH + 3·AGG + 2·QA) / 13.

    A column is there only if all its tasks are.
    """
    columns = {}
    for group in ("NIAH", "AGG", "QA"):
        names = [name for name, task in RULER.items() if task.group == group]
        if all(name in shares for name in names):
            columns[group] = sum(shares[name] for name in names) / len(names)
    if len(columns) == 3:
        columns["Avg"] = (8 * columns["NIAH"] + 3 * columns["AGG"] + 2 * columns["QA"]) / 13
    return columns


def language_of(text: Text) -> str:
    """The words of key-value recall that a tokenizer knows: symbols if each is one token, else recall."""
    known = all(len(text.encode(word)) == 1 for word in symbols.WORDS)
    distinct = len({text.encode(word)[0] for word in symbols.WORDS}) if known else 0
    return "symbols" if distinct == len(symbols.WORDS) else "recall"


def tasks_named(names: Sequence[str], known: Mapping[str, LongTask]) -> Mapping[str, LongTask]:
    """The tasks of these names, all that are `known` if there are none. Raises UsageError for an unknown name."""
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"unknown task {unknown[0]!r}; known: {', '.join(known)}")
    return {name: known[name] for name in names} if names else known


def prose(text: Text) -> Filler:
    """Running text in words that a tokenizer knows."""
    return chain if language_of(text) == "symbols" else stories
