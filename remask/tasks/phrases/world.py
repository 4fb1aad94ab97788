"""What a child of five knows about the world: colours, legs, kinds, days and months; and how people ask."""

from itertools import pairwise

from ..wording import words
from .words import Lore, pairs


def _successors(ring: tuple[str, ...], step: int) -> dict[str, str]:
    return {item: ring[(place + step) % len(ring)] for place, item in enumerate(ring)}


COLOUR = Lore(
    pairs(
        """
        grass green, snow white, the_sky blue, the_sun yellow, a_banana yellow, a_lemon yellow, a_strawberry red
        a_tomato red, a_cherry red, blood red, a_carrot orange, an_orange orange, a_pumpkin orange, milk white
        coal black, chocolate brown, coffee brown, a_frog green, a_cucumber green, a_polar_bear white, a_flamingo pink
        a_pig pink, an_elephant grey, a_mouse grey, the_night black, a_crow black, a_leaf green, salt white, sugar white
        rice white, a_plum purple, an_aubergine purple, the_sea blue, the_ocean blue, a_fire_truck red, a_rose red
        butter yellow, a_chick yellow, corn yellow, wood brown, mud brown, a_cloud white, paper white
        an_egg_yolk yellow
        a_crocodile green, a_swan white, peas green, spinach green, a_raven black, honey golden, gold golden, tar black
        a_lobster red, a_stop_sign red, a_tooth white, bread brown, a_gorilla black, a_bear brown, a_fox red
        a_pea green
        """
    ),
    (
        "(what|which) colour is {x}",
        "(what|which) color is {x}",
        "what is the (colour|color) of {x}",
        "(colour|color) of {x}",
        "tell me the (colour|color) of {x}",
        "{x} is what (colour|color)",
        "{x} has which (colour|color)",
        "(which|what) (colour|color) does {x} have",
        "{x} - what (colour|color)",
        "{x}: (colour|color)",
        "do you know (what|which) (colour|color) {x} is",
        "(can you |could you |please )tell me the (colour|color) of {x}",
        "how would you paint {x}? Name the (colour|color)",
        "(what|which) (colour|color) would you use for {x}",
        "I want to draw {x}. (What|Which) (colour|color) do I need",
        "name the (colour|color) of {x}",
        "what's the (colour|color) of {x}",
    ),
)
LEGS = Lore(
    pairs(
        """
        cat 4, dog 4, cow 4, horse 4, pig 4, sheep 4, goat 4, lion 4, tiger 4, bear 4, mouse 4, rabbit 4, fox 4, wolf 4
        elephant 4, giraffe 4, donkey 4, zebra 4, frog 4, camel 4, bird 2, duck 2, hen 2, owl 2, swan 2, goose 2
        penguin 2, person 2, man 2, woman 2, child 2, boy 2, girl 2, ant 6, bee 6, fly 6, beetle 6, butterfly 6
        ladybird 6, spider 8, fish 0, snake 0, worm 0, whale 0, dolphin 0, shark 0, crocodile 4, turtle 4, lizard 4
        table 4, chair 4, parrot 2, chicken 2
        """
    ),
    (
        "how many legs does {a_x} have",
        "how many legs has {a_x}( got|)",
        "how many legs do {xs} have",
        "how many legs are on {a_x}",
        "number of legs of {a_x}",
        "what is the number of legs of {a_x}",
        "legs of {a_x}",
        "{a_x} has how many legs",
        "count the legs of {a_x}",
        "(can you |please )tell me how many legs {a_x} has",
        "tell me how many legs {a_x} has",
        "on how many legs does {a_x} walk",
        "how many legs can you see on {a_x}",
        "do you know how many legs {a_x} has",
        "I draw {a_x}. How many legs do I draw",
    ),
)
HOW_MANY = Lore(
    {
        "days are there in a week": "7",
        "days does a week have": "7",
        "months are there in a year": "12",
        "months does a year have": "12",
        "hours are there in a day": "24",
        "hours does a day have": "24",
        "minutes are there in an hour": "60",
        "minutes does an hour have": "60",
        "seconds are there in a minute": "60",
        "seasons are there in a year": "4",
        "seasons are there": "4",
        "fingers are on one hand": "5",
        "fingers does a hand have": "5",
        "fingers do you have on two hands": "10",
        "toes are on one foot": "5",
        "toes do people have": "10",
        "eyes does a person have": "2",
        "eyes do you have": "2",
        "ears does a rabbit have": "2",
        "ears do people have": "2",
        "noses does a person have": "1",
        "wheels does a car have": "4",
        "wheels does a bicycle have": "2",
        "wheels does a bike have": "2",
        "wheels does a tricycle have": "3",
        "wings does a bird have": "2",
        "wings does a butterfly have": "4",
        "tails does a dog have": "1",
        "corners does a square have": "4",
        "sides does a square have": "4",
        "corners does a triangle have": "3",
        "sides does a triangle have": "3",
        "letters are in the alphabet": "26",
        "days are in January": "31",
        "days are in April": "30",
        "days are in December": "31",
        "things are in a dozen": "12",
        "things are in a pair": "2",
        "arms does an octopus have": "8",
        "arms does a starfish have": "5",
        "shoes are in a pair": "2",
        "years are in a century": "100",
        "cents are in a dollar": "100",
        "colours are in a rainbow": "7",
        "weeks are in a year": "52",
        "humps does a camel have": "2",
        "heads does a person have": "1",
        "hands does a clock have": "2",
    },
    (
        "how many {x}",
        "how many {x}",
        "tell me: how many {x}",
        "(please |can you |could you )tell me: how many {x}",
        "do you know: how many {x}",
        "I want to know: how many {x}",
        "a question: how many {x}",
        "hey, how many {x}",
        "quick question: how many {x}",
        "answer this: how many {x}",
        "let me ask you: how many {x}",
        "so, how many {x}",
        "how many {x}, please",
    ),
)
KINDS = {
    "animal": (
        "cat dog cow horse pig sheep lion tiger bear mouse rabbit fox wolf frog duck elephant snake monkey goat hen"
    ),
    "fruit": "apple pear plum banana cherry lemon peach grape melon fig strawberry mango kiwi pineapple raspberry",
    "colour": "red blue green yellow black white brown pink grey purple",
    "vegetable": "carrot potato onion cabbage cucumber spinach pea leek radish turnip lettuce broccoli",
    "toy": "doll teddy kite marble yo-yo",
    "vehicle": "car bus train truck tram lorry taxi van motorbike",
    "tool": "hammer saw drill screwdriver spanner shovel rake",
    "piece of clothing": "hat shoe shirt coat sock scarf dress skirt jacket sweater glove",
    "drink": "milk tea juice water coffee lemonade cocoa",
    "day of the week": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
    "month": "January February April June July August September October November December",
    "piece of furniture": "table chair bed sofa desk cupboard wardrobe",
    "part of the body": "arm leg nose ear hand foot knee finger head",
    "musical instrument": "piano guitar violin drum flute trumpet harp",
    "sport": "football tennis hockey golf basketball swimming",
    "flower": "rose tulip daisy lily sunflower",
    "number": "one two three five seven ten",
    "shape": "circle square triangle",
}
OF_KIND = {thing: kind for kind, things in KINDS.items() for thing in things.split()}
UNCOUNTED = {*KINDS["colour"].split(), *KINDS["drink"].split(), *KINDS["day of the week"].split(),
             *KINDS["month"].split(), *KINDS["sport"].split(), *KINDS["number"].split(), "spinach", "lettuce",
             "broccoli", "cabbage"}  # fmt: skip
KIND = Lore(
    OF_KIND,
    (
        "what is {a_x}",
        "what kind of thing is {a_x}",
        "what sort of thing is {a_x}",
        "what type of thing is {a_x}",
        "{a_x} is what kind of thing",
        "is {a_x} an animal, a thing to eat or what? Name its kind",
        "to which (group|class|category|kind) does {a_x} belong",
        "which (group|class|category|kind) does {a_x} belong to",
        "(name|tell me|say) the (kind|group|category) of {a_x}",
        "(category|group|kind|class) of {a_x}",
        "(put|sort) {a_x} into a (group|category)",
    ),
)
RING_OF_DAYS = words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
RING_OF_MONTHS = words("January February March April May June July August September October November December")
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
ALPHABET = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
AFTER = Lore(
    _successors(RING_OF_DAYS, 1) | _successors(RING_OF_MONTHS, 1),
    (
        "what comes after {x}",
        "what (comes|follows) (right |directly |)after {x}",
        "which (one |)comes after {x}",
        "what is after {x}",
        "what follows {x}",
        "what comes next after {x}",
        "after {x} comes(...| ...| ___)",
        "after {x} comes what",
        "{x}, then(...| ...| ___)",
        "{x} and then(...| ...| ___)",
        "name the one after {x}",
        "tell me what comes after {x}",
        "(please |can you )tell me what comes after {x}",
        "the one after {x}",
        "when {x} is over, what comes",
        "if it is {x} now, what comes next",
        "{x} is followed by(...| ...| ___)",
    ),
)
BEFORE = Lore(
    _successors(RING_OF_DAYS, -1) | _successors(RING_OF_MONTHS, -1),
    (
        "what comes (right |just |)before {x}",
        "which (one |)comes before {x}",
        "what is before {x}",
        "what was before {x}",
        "before {x} comes(...| ...| ___)",
        "before {x} comes what",
        "name the one before {x}",
        "tell me what comes before {x}",
        "(please |can you )tell me what comes before {x}",
        "the one before {x}",
        "{x} comes after what",
        "{x} comes after",
        "if it is {x} now, what was before",
    ),
)
DAY_AFTER = Lore(
    _successors(RING_OF_DAYS, 1),
    (
        "(what|which) day (comes|is) after {x}",
        "today is {x}. What day is tomorrow",
        "if today is {x}, what (day |)is tomorrow",
        "it is {x} today. Which day is it tomorrow",
        "what is the day after {x}",
        "the day after {x}( is|)",
        "{x} is today, so tomorrow is(...| ...| ___)",
        "yesterday was {x}. What day is today",
        "if yesterday was {x}, what day is it today",
    ),
)
DAY_BEFORE = Lore(
    _successors(RING_OF_DAYS, -1),
    (
        "(what|which) day (comes|is) before {x}",
        "today is {x}. What day was yesterday",
        "if today is {x}, what (day |)was yesterday",
        "it is {x} today. Which day was it yesterday",
        "what is the day before {x}",
        "the day before {x}( is|)",
        "tomorrow is {x}. What day is today",
        "if tomorrow is {x}, what day is it today",
    ),
)
MONTH_AFTER = Lore(
    _successors(RING_OF_MONTHS, 1),
    (
        "(what|which) month (comes|is) after {x}",
        "it is {x}. What is the next month",
        "what is the month after {x}",
        "the month after {x}( is|)",
        "if this month is {x}, what is next month",
        "next month after {x}",
    ),
)
MONTH_BEFORE = Lore(
    _successors(RING_OF_MONTHS, -1),
    (
        "(what|which) month (comes|is) before {x}",
        "what is the month before {x}",
        "the month before {x}( is|)",
        "if this month is {x}, what was last month",
    ),
)
LETTER_AFTER = Lore(
    dict(pairwise(ALPHABET)),
    (
        "(what|which) letter (comes|is) after {x}",
        "what is the letter after {x}",
        "the letter after {x}",
        "(what|which) letter follows {x}",
        "what comes after {x} in the alphabet",
        "next letter after {x}",
        "what is the next letter after {x}",
    ),
)
LETTER_BEFORE = Lore(
    {letter: before for before, letter in pairwise(ALPHABET)},
    (
        "(what|which) letter (comes|is) before {x}",
        "what is the letter before {x}",
        "the letter before {x}",
        "what comes before {x} in the alphabet",
    ),
)
