"""What a child of five knows about words: opposites, plurals, past tenses and sounds; and how it is asked for."""

from typing import NamedTuple

from ..wording import words


class Lore(NamedTuple):
    """Facts of one kind, from the thing to the answer, and wordings with `{x}` (or `{a_x}`) for the former."""

    facts: dict[str, str]
    asks: tuple[str, ...]


def pairs(text: str) -> dict[str, str]:
    """Return the facts of lines and items such as `big small, hot cold`: the last word is the answer."""
    split = [item.strip().rsplit(" ", 1) for item in text.replace("\n", ",").split(",") if item.strip()]
    return {key.replace("_", " "): value.replace("_", " ") for key, value in split}


ONE_WAY = pairs(
    """
    big small, hot cold, tall short, long short, fast slow, happy sad, old young, new old, good bad, up down, in out
    left right, day night, light dark, black white, open closed, full empty, heavy light, hard soft, wet dry, rich poor
    strong weak, loud quiet, early late, near far, high low, thick thin, wide narrow, clean dirty, easy hard, first last
    front back, top bottom, inside outside, above below, over under, before after, always never, yes no, true false
    right wrong, love hate, laugh cry, win lose, buy sell, give take, push pull, come go, start stop, find lose
    brave afraid, awake asleep, alive dead, sweet sour, smooth rough, sharp blunt, cheap expensive, safe dangerous
    kind mean, polite rude, friend enemy, king queen, man woman, boy girl, mother father, brother sister, north south
    east west, summer winter, morning evening, hello goodbye, float sink, remember forget, ask answer, small big
    cold hot, short long, slow fast, sad happy, young old, bad good, down up, out in, night day, dark light, white black
    closed open, empty full, soft hard, dry wet, poor rich, weak strong, quiet loud, late early, far near, low high
    thin thick, narrow wide, dirty clean, last first, back front, bottom top, outside inside, below above, under over
    after before, never always, no yes, false true, wrong right, hate love, cry laugh, lose win, sell buy, take give
    pull push, go come, stop start, asleep awake, dead alive, sour sweet, rough smooth, south north, west east
    winter summer, evening morning, goodbye hello, sink float, forget remember, answer ask, huge tiny, tiny huge
    beautiful ugly, ugly beautiful, everything nothing, nothing everything, more less, less more, many few, few many
    arrive leave, begin end, end begin, sit stand, stand sit, deep shallow, shallow deep, lazy busy, noisy quiet
    """
)
OPPOSITE = Lore(
    ONE_WAY,
    (
        "(what is|what's|tell me|give me|say|name) the opposite of {x}",
        "(what is|what's) the opposite (word |)(of|to|for) {x}",
        "opposite of {x}",
        "the opposite of {x}( is|)",
        "the opposite of {x} please",
        "{x} - opposite",
        "opposite: {x}",
        "{x}: opposite",
        "(can you |could you |please )(tell me|give me|say|name) the opposite of {x}",
        "(which|what) word is the opposite of {x}",
        "what is not {x}, but the opposite",
        "not {x} but(...| ...| ___)",
        "what would be the opposite of {x}",
        'what is the opposite of "{x}"',
        "what is the opposite of the word {x}",
        "I need the opposite of {x}",
        "{x} is the opposite of what",
        "{x} is the opposite of(...| ...| ___)",
        "do you know the opposite of {x}",
        "antonym of {x}",
        "what is the antonym of {x}",
        "if it is not {x}, it is the opposite. What is it",
        "find the opposite of {x}",
        "(write|find) a word that means the opposite of {x}",
        "opposite word (for|of) {x}",
    ),
)
IRREGULAR = """
    man men, woman women, child children, foot feet, tooth teeth, mouse mice, goose geese, person people, ox oxen
    sheep sheep, fish fish, deer deer, leaf leaves, wolf wolves, knife knives, wife wives, life lives, half halves
    shelf shelves, loaf loaves, thief thieves, calf calves, scarf scarves, baby babies, city cities, lady ladies
    story stories, party parties, pony ponies, puppy puppies, berry berries, cherry cherries, fly flies, family families
    country countries, box boxes, fox foxes, bus buses, glass glasses, dress dresses, class classes, brush brushes
    dish dishes, wish wishes, peach peaches, beach beaches, bench benches, branch branches, witch witches, watch watches
    church churches, potato potatoes, tomato tomatoes, hero heroes
"""
REGULAR = words(
    """
    cat dog bird cow pig hen duck frog bear lion tiger horse rabbit monkey snake spider ant bee boy girl friend king
    queen book pen cup spoon fork plate table chair bed door window house car train boat ship bike road tree flower
    apple pear plum banana egg cake cookie hat shoe sock coat shirt ball doll toy key bell clock lamp star cloud river
    hill garden farm school shop day week month year hand arm leg eye ear nose finger teacher doctor
    """
)
PLURAL = Lore(
    pairs(IRREGULAR) | {word: word + "s" for word in REGULAR},
    (
        "(what is|what's|tell me|give me|say) the plural of {x}",
        "plural of {x}",
        "the plural of {x}( is|)",
        "plural: {x}",
        "{x}: plural",
        "{x} in the plural",
        "(write|say|put) {x} in the plural",
        "one {x}, two(...| ...| ___)",
        "one {x}, many(...| ...| ___)",
        "one {x}, two what",
        "one {x}, three(...| ...| ___)",
        "I have one {x}. You have two(...| ...| ___)",
        "what do you call more than one {x}",
        "(what is|how do you say) more than one {x}",
        "what is the plural form of {x}",
        "(can you |could you |please )(tell me|give me|write) the plural of {x}",
        "make {x} plural",
        "how do you (write|spell|say|make|form) the plural of {x}",
        "what is {x} in (the |)plural",
        'what is the plural of "{x}"',
        "what is the plural of the word {x}",
        "turn {x} into (a plural|the plural)",
        "here is one {x}. Here are two(...| ...| ___)",
    ),
)
PAST = Lore(
    pairs(
        """
        go went, eat ate, see saw, run ran, come came, give gave, take took, make made, find found, get got, have had
        say said, tell told, think thought, know knew, sing sang, swim swam, drink drank, sit sat, stand stood
        fall fell
        fly flew, grow grew, throw threw, draw drew, write wrote, read read, ride rode, drive drove, break broke
        speak spoke, wake woke, choose chose, forget forgot, sleep slept, keep kept, feel felt, leave left, meet met
        buy bought, bring brought, catch caught, teach taught, build built, send sent, spend spent, lose lost, win won
        hold held, hear heard, hide hid, bite bit, shake shook, wear wore, begin began, ring rang, sell sold, pay paid
        do did, be was, feed fed, dig dug, hang hung, shine shone, shoot shot, steal stole, sweep swept, cut cut
        put put
        let let, hit hit, hurt hurt, blow blew, lie lay, understand understood, become became
        walk walked, talk talked, play played, jump jumped, look looked, help helped, ask asked, call called
        cook cooked, clean cleaned, open opened, close closed, laugh laughed, cry cried, try tried, carry carried
        stop stopped, hop hopped, clap clapped, love loved, like liked, dance danced, live lived, smile smiled
        want wanted, need needed, paint painted, wait waited, work worked, wash washed, watch watched, kick kicked
        """
    ),
    (
        "(what is|what's|tell me|give me|say) the past tense of {x}",
        "(what is|what's) the past (form |)of {x}",
        "past tense of {x}",
        "past tense: {x}",
        "{x}: past tense",
        "the past tense of {x}( is|)",
        "{x} in the past( tense|)",
        "(write|say|put) {x} in the past( tense|)",
        "today I {x}, yesterday I(...| ...| ___)",
        "today they {x}. Yesterday they(...| ...| ___)",
        "I {x} today. Yesterday I(...| ...| ___)",
        "(can you |could you |please )(tell me|give me|write) the past tense of {x}",
        "what is {x} in the past( tense|)",
        "how do you (say|write|spell) the past tense of {x}",
        'what is the past tense of "{x}"',
        "what is the past tense of (the verb|the word|to) {x}",
        "past of {x}",
        "turn {x} into the past tense",
        "make {x} past tense",
        "what is the simple past of {x}",
    ),
)
SOUND = Lore(
    pairs(
        """
        dog woof, cat meow, cow moo, sheep baa, pig oink, duck quack, hen cluck, rooster cock-a-doodle-doo, lion roar
        frog croak, bee buzz, snake hiss, horse neigh, mouse squeak, owl hoot, donkey hee-haw, bird tweet, wolf howl
        goat maa, goose honk, crow caw, turkey gobble, dove coo, chick cheep, tiger roar, bear growl, fly buzz
        kitten mew, clock tick-tock, bell ding-dong
        """
    ),
    (
        "what does (the |{a_}){x} say",
        "what sound does (the |{a_}){x} make",
        "what noise does (the |{a_}){x} make",
        "which sound does {a_x} make",
        "{a_x} says(...| ...| ___)",
        "the {x} goes(...| ...| ___)",
        "the {x} says(...| ...| ___)",
        "how does {a_x} (go|sound)",
        "what do you hear from {a_x}",
        "(what is|what's) the sound of {a_x}",
        "(can you |please )(make|say) the sound of {a_x}",
        "(say|make|write|tell me) the sound of {a_x}",
        "sound of {a_x}",
        "(make a noise|make a sound|sound) like {a_x}",
        "tell me what {a_x} says",
        "do you know what {a_x} says",
        "{x} sound",
        "{x} noise",
        "I am {a_x}. What do I say",
    ),
)
