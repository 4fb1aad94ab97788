"""Facts about things, animals and days, and questions about one of them."""

from typing import NamedTuple

from .people import NAMES
from .things import (
    ANIMALS,
    COLOURS,
    CONTAINERS,
    DAYS,
    DOORS,
    EVENTS,
    FOODS,
    HOURS,
    MEALS,
    NUMBERS,
    OBJECTS,
    PLACES,
    ROOMS,
    THINGS,
)


class Topic(NamedTuple):
    """Facts `{k}` to `{v}`, and questions with their answers: what is asked for is a `{k}` or a `{v}`."""

    keys: tuple[str, ...]
    values: tuple[str, ...]
    facts: tuple[str, ...]
    asks: tuple[tuple[str, str], ...]


ABOUT_THINGS = (
    Topic(
        COLOURS,
        THINGS,
        (
            "the {k} box (holds|contains) {v}",
            "there is {v} in the {k} box",
            "in the {k} box (is|there is|lies) {v}",
            "the {k} box has {v} in it",
        ),
        (
            ("what is in the {k} box", "{v}"),
            ("what does the {k} one (hold|contain|have in it)", "{v}"),
            ("what (can I find|do I find|will I find|is there) in the {k} box", "{v}"),
            ("which box (has|holds|contains) {v}", "the {k} box"),
        ),
    ),
    Topic(
        CONTAINERS,
        THINGS,
        ("the {k} (holds|contains) {v}", "there is {v} in the {k}", "in the {k} is {v}"),
        (
            ("what is in the {k}", "{v}"),
            ("what does the {k} (hold|contain)", "{v}"),
            ("what is there in the {k}", "{v}"),
            ("what (can I find|do I find|would I find) in the {k}", "{v}"),
            ("where is {v}", "in the {k}"),
            ("what lies in the {k}", "{v}"),
        ),
    ),
    Topic(
        OBJECTS,
        ROOMS,
        (
            "the {k} is {v}",
            "the {k} was left {v}",
            "I put the {k} {v}",
            "you can find the {k} {v}",
            "my {k} is {v}",
            "the {k} lies {v}",
            "{v} is the {k}",
        ),
        (
            ("where is the {k}", "{v}"),
            ("where (did I put|can I find|do I find|will I find|can you find) the {k}", "{v}"),
            ("where's the {k}", "{v}"),
            ("what is {v}", "the {k}"),
            ("in which place is the {k}", "{v}"),
            ("tell me where the {k} is", "{v}"),
            ("do you know where the {k} is", "{v}"),
            ("I cannot find the {k}. Where is it", "{v}"),
        ),
    ),
    Topic(
        OBJECTS,
        COLOURS,
        ("the {k} is {v}", "my {k} is {v}", "I have a {v} {k}", "there is a {v} {k}", "we bought a {v} {k}"),
        (
            ("what colour is the {k}", "{v}"),
            ("which colour does the {k} have", "{v}"),
            ("what is {v}", "the {k}"),
            ("what color is the {k}", "{v}"),
            ("what is the colour of the {k}", "{v}"),
            ("tell me the colour of the {k}", "{v}"),
        ),
    ),
    Topic(
        ANIMALS,
        COLOURS,
        ("the {k} is {v}", "there is a {v} {k}", "I saw a {v} {k}", "we have a {v} {k}"),
        (
            ("what colour is the {k}", "{v}"),
            ("which animal is {v}", "the {k}"),
            ("what colour does the {k} have", "{v}"),
        ),
    ),
    Topic(
        ANIMALS,
        NAMES,
        (
            "the {k} is called {v}",
            "the name of the {k} is {v}",
            "{v} is the {k}",
            "we call the {k} {v}",
            "my {k} is named {v}",
        ),
        (
            ("what is the {k} called", "{v}"),
            ("what is the name of the {k}", "{v}"),
            ("who is the {k}", "{v}"),
            ("what animal is {v}", "the {k}"),
            ("how do we call the {k}", "{v}"),
            ("which animal is called {v}", "the {k}"),
            ("what's the {k}'s name", "{v}"),
        ),
    ),
    Topic(
        ANIMALS,
        PLACES[:1] + ROOMS,
        ("the {k} is {v}", "the {k} sleeps {v}", "the {k} sits {v}", "the {k} hides {v}"),
        (
            ("where is the {k}", "{v}"),
            ("who is {v}", "the {k}"),
            ("where (can I|can we|do we) find the {k}", "{v}"),
            ("which animal is {v}", "the {k}"),
        ),
    ),
    Topic(
        ANIMALS,
        FOODS,
        ("the {k} (eats|likes|ate|wants) {v}", "the {k} likes to eat {v}"),
        (
            ("what does the {k} (eat|like|want)", "{v}"),
            ("which animal (eats|gets|likes) {v}", "the {k}"),
            ("what is for the {k}", "{v}"),
        ),
    ),
    Topic(
        EVENTS,
        DAYS,
        ("{k} is on {v}", "{k} takes place on {v}", "{k} will be on {v}", "on {v} there is {k}", "{k} starts on {v}"),
        (
            ("when is {k}", "on {v}"),
            ("on which day is {k}", "on {v}"),
            ("what is on {v}", "{k}"),
            ("what day is {k}", "on {v}"),
            ("what happens on {v}", "{k}"),
        ),
    ),
    Topic(
        EVENTS,
        HOURS,
        ("{k} (starts|begins|is) at {v}", "at {v} there is {k}", "{k} will be at {v}"),
        (
            ("when does {k} (start|begin)", "at {v}"),
            ("at what time is {k}", "at {v}"),
            ("what (starts|is) at {v}", "{k}"),
            ("what time is {k}", "at {v}"),
        ),
    ),
    Topic(
        MEALS,
        FOODS,
        ("for {k} there is {v}", "we have {v} for {k}", "for {k} we eat {v}", "{k} is {v}"),
        (
            ("what is for {k}", "{v}"),
            ("what do we (have|eat) for {k}", "{v}"),
            ("what is there for {k}", "{v}"),
            ("what will we have for {k}", "{v}"),
        ),
    ),
    Topic(
        DAYS,
        FOODS,
        ("on {k} we (eat|have|cook) {v}", "we have {v} on {k}", "on {k} there is {v}", "{k} is the day for {v}"),
        (
            ("what do we (eat|have|cook) on {k}", "{v}"),
            ("what is there on {k}", "{v}"),
            ("when do we (eat|have) {v}", "on {k}"),
        ),
    ),
    Topic(
        DOORS,
        THINGS,
        (
            "behind the {k} door is {v}",
            "the {k} door hides {v}",
            "there is {v} behind the {k} door",
            "the {k} door leads to {v}",
        ),
        (
            ("what is behind the {k} door", "{v}"),
            ("what does the {k} door hide", "{v}"),
            ("where is {v}", "behind the {k} door"),
        ),
    ),
    Topic(
        COLOURS,
        ROOMS[:9],
        ("the {k} ball is {v}", "I put the {k} ball {v}", "you find the {k} ball {v}"),
        (
            ("where is the {k} ball", "{v}"),
            ("what colour is the ball {v}", "{k}"),
            ("where did I put the {k} ball", "{v}"),
            ("where can I find the {k} ball", "{v}"),
        ),
    ),
    Topic(
        OBJECTS,
        NUMBERS,
        (
            "the {k} costs {v} (dollars|euros)",
            "a {k} is {v} (dollars|euros)",
            "you pay {v} (dollars|euros) for the {k}",
            "the price of the {k} is {v}",
        ),
        (
            ("how much is the {k}", "{v}"),
            ("what does the {k} cost", "{v}"),
            ("how much does the {k} cost", "{v}"),
            ("what is the price of the {k}", "{v}"),
            ("what costs {v}", "the {k}"),
        ),
    ),
    Topic(
        OBJECTS,
        NAMES,
        ("the {k} belongs to {v}", "the {k} is for {v}", "{v} has the {k}", "{v} owns the {k}", "{v} took the {k}"),
        (
            ("who has the {k}", "{v}"),
            ("whose is the {k}", "{v}"),
            ("who does the {k} belong to", "{v}"),
            ("what does {v} have", "the {k}"),
            ("what belongs to {v}", "the {k}"),
            ("who is the {k} for", "{v}"),
        ),
    ),
)
