"""The words of short stories, how they begin and end, and how people ask for them.

`{hero}` is what the hero is, `{name}` the name, which `{he}`, `{his}`, `{him}` agree with; `{friend}` is another
animal; `{a_thing}` has its article. `{in_place}` is as `in the forest`.
"""

from ..wording import expanded, words

HEROES = words(
    """
    cat dog fox bear rabbit mouse duck frog owl pig wolf hen goat donkey squirrel hedgehog lion tiger monkey elephant
    giraffe zebra penguin turtle snail crab whale dolphin seal otter beaver badger deer mole bat parrot goose swan crow
    sheep lamb pony horse cow calf kitten puppy chick dragon robot unicorn snake lizard bee ant spider
    butterfly bird fish
    hamster camel kangaroo koala panda octopus
    boy girl prince princess king queen farmer baker sailor pirate knight wizard witch giant child
    """
)
FRIENDS = words(
    """
    cat dog fox bear rabbit mouse duck frog owl pig goat donkey squirrel hedgehog monkey turtle snail crab otter beaver
    badger deer mole parrot goose swan crow sheep pony cow bee bird hen lion elephant
    """
)
MALE = words(
    "Max Ben Tom Sam Leo Rex Gus Otto Pip Toby Finn Hugo Milo Oscar Bruno Benny Charlie Teddy Rocky Bobby Theo Jack"
)
FEMALE = words(
    "Lily Mia Anna Zoe Lola Daisy Rosie Bella Coco Ruby Molly Lulu Nina Poppy Ella Mimi Kiki Luna Tilly Emma Dora Ida"
)
ONLY_MALE = {"boy", "prince", "king", "wizard"}
ONLY_FEMALE = {"girl", "princess", "queen", "witch", "hen", "cow"}
ADJECTIVES = words(
    "little small young brave shy curious clever kind funny lazy hungry quiet friendly lonely cheerful gentle"
)
THINGS = words(
    """
    ball key hat book bell ring cup spoon drum kite coin map shell feather candle button letter doll lamp stone boat box
    basket blanket scarf coat shoe sock clock mirror flower leaf stick rope bucket broom pillow
    umbrella whistle flag bag
    bottle brush pen pencil chair wagon sledge swing horn flute guitar violin puzzle marble balloon teapot kettle ladder
    necklace crown sword wheel bike acorn apple egg star
    """
)
PLACES = (
    *("in the forest", "on a farm", "by the sea", "in a small house", "in the garden", "near the river", "on a hill"),
    *("in a village", "in a castle", "in a cave", "by a lake", "in the city", "near a mill", "under an old tree"),
    *("in the mountains", "on an island", "in a valley", "by a pond", "in the jungle", "in the desert", "in a barn"),
    *("near a bridge", "behind a school", "in a park", "next to a bakery", "in a tower", "in a hut", "on a boat"),
    *("at the edge of a wood", "in a meadow", "near the beach", "in a cottage", "in a big tree", "on a mountain"),
    *("in a quiet street", "at the zoo", "in the snow", "near a waterfall", "in a windmill", "near a station"),
    *("in an old library", "in a field", "on the moon", "under the sea"),
)
SLOT_WORDS: dict[str, tuple[str, ...]] = {
    "colour": words("red blue green yellow white golden silver pink brown purple"),
    "food": (
        "honey",
        "cheese",
        "soup",
        "bread",
        "cake",
        "berries",
        "apples",
        "nuts",
        "pancakes",
        "cookies",
        "plums",
        "carrots",
    ),
    "spot": (
        *(
            "under a tree",
            "behind a rock",
            "in the grass",
            "near the gate",
            "by the water",
            "in the sand",
            "on the path",
        ),
        *("in a hole", "under the stairs", "behind the house", "next to a well", "under a bush", "between two stones"),
    ),
    "time": (
        "one day",
        "one morning",
        "one evening",
        "one sunny day",
        "one cold day",
        "one afternoon",
        "one rainy day",
    ),
    "good": words("happy glad proud"),
}

OPENINGS = (
    "once upon a time(,|) there was a {adjective} {hero} (called|named) {name}. {he} lived {in_place}.",
    "once upon a time(,|) a {adjective} {hero} lived {in_place}. {his} name was {name}.",
    "once there was a {adjective} {hero} (called|named) {name} who lived {in_place}.",
    "there was once a {adjective} {hero}. {his} name was {name}, and {he} lived {in_place}.",
    "{name} was a {adjective} {hero}. {he} lived {in_place}.",
    "{name} was a {adjective} {hero} who lived {in_place}.",
    "long ago, a {adjective} {hero} (called|named) {name} lived {in_place}.",
    "{in_place} lived a {adjective} {hero}. {his} name was {name}.",
    "{in_place} there lived a {adjective} {hero} (called|named) {name}.",
    "a {adjective} {hero} (called|named) {name} lived {in_place}.",
    "this is the story of {name}, a {adjective} {hero}. {he} lived {in_place}.",
    "{name} the {hero} lived {in_place}. {he} was {adjective}.",
)
ENDINGS = (
    "{name} was very {good}.",
    "from then on they were (good|best) friends.",
    "that night {name} slept well.",
    "and {name} smiled.",
    "{name} went home and was {good}.",
    "it was a (good|wonderful) day.",
    "{name} never forgot that day.",
    "and they lived happily ever after.",
    "in the evening {name} told {his} mother about it.",
    "now {name} was not alone any more.",
    "then they ate {food} together.",
    '"What a day!" {he} said.',
    "everybody was happy.",
    '"That was fun," said {name}.',
    "and that is the end of the story.",
)
TOGETHER = ("friends", "they ", "alone")  # endings for plots with a friend

# `{about}` is what the story must have: the hero, at times with a name, a thing or a place.
MACROS = {
    "tell": (
        "(tell me|tell|write|make up|invent|give me|read me|I want|I would like|think of|can you write|can you tell me"
        "|could you tell me|could you write|please tell me|please write|create|let me hear|let's hear|I'd like|we want)"
    ),
    "story": "(a|a|a short|a little|a nice|a small|a bedtime|another|one) (story|tale|story)",
    "wants": "(my child wants|my son wants|my daughter wants|my kids want|the children want)",
}
ABOUT = expanded(
    MACROS,
    "<tell> <story> about {about}( please|, please||)",
    (
        "(a story|a short story|story|short story|a tale|a little story|bedtime story|the story|a bedtime story)"
        " (about|of) {about}( please|, please||)"
    ),
    (
        "(do you know|have you got|do you have|is there|can I have|can I get|may I hear) (a|any|another) story"
        " about {about}"
    ),
    (
        "(what happened to|what happens to|tell me about|tell us about|tell me something about) {about}( in a"
        " story|, as a story)"
    ),
    "{about}( - a story|: a story|. Tell me a story|. Write a story|, a story please| story please)",
    "(write|tell) (something|a few sentences|a few lines|five sentences|some sentences) about {about}",
    "<wants> (to hear |)a story about {about}",
    "I (want to|would like to) (hear|read) (a|a short|a nice) story about {about}",
    "(story|tale)( time|)(: |, )(about |){about}",
    "(write|tell) (me |us |)a (short |little |)(story|tale) (with|on) {about}( in it|)",
    "a story with {about}( in it|)( please|)",
    "(the hero is|my hero is|the story is about|it is about|it should be about) {about}. (Tell|Write) the story",
    "once upon a time there was {about}",
    "there was once {about}",
    "once there was {about}",
)
ANY = expanded(
    MACROS,
    "<tell> <story>( please|, please| for children| for kids| now||)",
    (
        "(a story|story|a short story|short story|a tale|bedtime story|another story|story time|stories|one"
        " story|a fairy tale)( please|, please| now||)"
    ),
    (
        "(do you know|have you got|do you have|is there|can I have|can I get|may I hear|can you tell) (a|any"
        "|another) (story|stories|tale)"
    ),
    "once upon a time( there was| there lived|, |...|)",
    (
        "(I am bored|I can't sleep|I cannot sleep|it is bedtime|I am tired|good evening|I have nothing to do)."
        " (Tell me|Write|Can you tell me) a story"
    ),
    (
        "(tell me something|tell me something nice|write something|write something nice|make something up"
        "|entertain me|surprise me with a story)"
    ),
    "<wants> a story",
    "I (want|would like|need) (to hear|to read) (a|a short|a nice) story",
    "what (happened|happens) once upon a time",
    "(another|one more|a new|a different|the next) (one|story)( please|)",
    "(write|tell) (a few lines|a few sentences|five sentences) of a story",
    "can you (tell|write|make up|invent) stories",
)
