"""How a short text begins and ends."""

from .reading import Beat

OPENINGS = (
    Beat(
        ("{S} (went|walked) to the {place} {when}.", "{when} {S} (went|walked) to the {place}."),
        (
            ("where did {hero} (go|go {when}|walk)", "to the {place}"),
            ("who (went|walked) to the {place}", "{hero}"),
            ("when did {hero} go to the {place}", "{when}"),
            ("(which|what) place did {hero} go to", "the {place}"),
        ),
    ),
    Beat(
        ("{S} was at the {place} {when}.", "{when} {S} was at the {place}."),
        (
            ("where was {hero}", "at the {place}"),
            ("when was {hero} at the {place}", "{when}"),
            ("who was at the {place}", "{hero}"),
        ),
    ),
    Beat(
        (
            "{S} lived in a {size} house near the {place}.",
            "there was a {size} house near the {place}, and {S} lived in it.",
        ),
        (
            ("what kind of house did {hero} live in", "a {size} house"),
            ("what was the house near", "the {place}"),
            ("who lived near the {place}", "{hero}"),
        ),
    ),
    Beat(
        ("{S} lived with {his} {relative} near the {place}.", "near the {place} lived {S} with {his} {relative}."),
        (
            ("who did {hero} live with", "{his} {relative}"),
            ("where did {hero} live", "near the {place}"),
            ("with whom did {hero} live", "{his} {relative}"),
        ),
    ),
    Beat(
        ("{S} and {friend} (played|sat|met) at the {place} {when}.", "{when} {S} and {friend} were at the {place}."),
        (
            ("who was with {hero}", "{friend}"),
            ("who was at the {place} with {hero}", "{friend}"),
            ("where were {hero} and {friend}", "at the {place}"),
            ("when were they at the {place}", "{when}"),
        ),
    ),
    Beat(
        ("it was a {weather} day and {S} stayed at the {place}.", "{S} was at the {place} on a {weather} day."),
        (
            ("what was the weather like", "{weather}"),
            ("what kind of day was it", "a {weather} day"),
            ("how was the weather", "{weather}"),
            ("where was {hero}", "at the {place}"),
        ),
    ),
    Beat(
        ("{S} had a {colour} {thing}.", "{S} got a {colour} {thing} {when}.", "{S} owned a {colour} {thing}."),
        (
            ("what did {hero} have", "a {colour} {thing}"),
            ("what colour was the {thing}", "{colour}"),
            ("who had a {colour} {thing}", "{hero}"),
            ("what color was the {thing}", "{colour}"),
        ),
    ),
    Beat(
        ("{S} was {number} years old.", "{S} turned {number} {when}."),
        (
            ("how old was {hero}", "{number}"),
            ("what was the age of {hero}", "{number}"),
            ("who was {number} years old", "{hero}"),
        ),
    ),
    Beat(
        ("{S} wanted to visit {friend}.", "{S} was on the way to {friend}.", "{when} {S} wanted to see {friend}."),
        (("who did {hero} want to (visit|see)", "{friend}"), ("who wanted to see {friend}", "{hero}")),
    ),
    Beat(
        ("{S} (travelled|came|went) to the {place} {vehicle}.", "{vehicle} {S} (travelled|came) to the {place}."),
        (
            ("how did {hero} get to the {place}", "{vehicle}"),
            ("where did {hero} (travel|go) {vehicle}", "to the {place}"),
            ("how did {hero} (travel|come)", "{vehicle}"),
        ),
    ),
    Beat(
        ("{S} worked as a {job} at the {place}.", "{S} was a {job} and worked at the {place}."),
        (
            ("what was the job of {hero}", "a {job}"),
            ("where did {hero} work", "at the {place}"),
            ("what did {hero} work as", "a {job}"),
        ),
    ),
)
ENDINGS = (
    Beat(
        ("{clock} {S} went home.", "{S} went home {clock}.", "{S} came home {clock}."),
        (
            ("when did {hero} (go|come) home", "{clock}"),
            ("who went home {clock}", "{hero}"),
            ("at what time did {hero} go home", "{clock}"),
        ),
    ),
    Beat(
        ("in the end {S} fell asleep {spot}.", "{S} fell asleep {spot}.", "then {S} slept {spot}."),
        (
            ("where did {hero} (fall asleep|sleep)", "{spot}"),
            ("who fell asleep", "{hero}"),
            ("who slept {spot}", "{hero}"),
        ),
    ),
    Beat(
        ("then {his} {relative} took {him} home {vehicle}.", "{his} {relative} brought {him} home {vehicle}."),
        (("who (took|brought) {hero} home", "{his} {relative}"), ("how did {hero} (go|get|come) home", "{vehicle}")),
    ),
    Beat(
        ("in the evening {S} ate {food} with {his} {relative}.", "{S} had {food} for dinner with {his} {relative}."),
        (
            ("what did {hero} (eat|have) for dinner", "{food}"),
            ("what was there for dinner", "{food}"),
            ("who ate with {hero}", "{his} {relative}"),
            ("what did {hero} eat in the evening", "{food}"),
        ),
    ),
    Beat(
        ("{S} went to bed {clock}.", "{clock} {S} went to bed."),
        (
            ("when did {hero} go to bed", "{clock}"),
            ("who went to bed {clock}", "{hero}"),
            ("what time did {hero} go to bed", "{clock}"),
        ),
    ),
    Beat(
        ("at the end {S} had {number} {goods}.", "now {S} had {number} {goods}."),
        (
            ("how many {goods} did {hero} have", "{number}"),
            ("what did {hero} have at the end", "{number} {goods}"),
            ("who had {number} {goods}", "{hero}"),
        ),
    ),
    Beat(
        ("{S} called {friend} and told the whole story.", "{S} told {friend} the whole story."),
        (
            ("who did {hero} tell the story", "{friend}"),
            ("who heard the story", "{friend}"),
            ("who told the story", "{hero}"),
        ),
    ),
    Beat(
        ("the next day {S} went back to the {place}.", "{S} wants to go to the {place} again."),
        (
            ("where does {hero} (want to go|go) next", "to the {place}"),
            ("which place does {hero} go back to", "the {place}"),
        ),
    ),
)
