"""The words and the heroes of short texts, and layouts of a text and a question.

`{S}` is the hero of the sentence as its subject, `{hero}` its name; `{he}`, `{his}`, `{him}` agree with it. Every other
slot is a word of `SLOT_WORDS`.
"""

from typing import NamedTuple

from ..wording import words
from .people import JOBS, NAMES
from .things import COLOURS, DRINKS, FOODS, OBJECTS, VEHICLES


class Beat(NamedTuple):
    """Forms of one sentence, and the questions that all of them answer, with the answers."""

    forms: tuple[str, ...]
    asks: tuple[tuple[str, str], ...]


SLOT_WORDS: dict[str, tuple[str, ...]] = {
    "thing": OBJECTS,
    "colour": COLOURS,
    "food": FOODS,
    "drink": DRINKS,
    "friend": NAMES,
    "job": tuple(job for job in JOBS if job[0] not in "aeiou"),
    "vehicle": VEHICLES,
    "place": words(
        "park beach market zoo library museum station lake river school farm shop bakery castle cinema harbour hotel "
        "playground church mill circus fair airport pool theatre bank stadium lighthouse dock inn mosque temple cafe"
    ),
    "spot": (
        *("under a tree", "behind the house", "near the gate", "in the grass", "on the road", "under the bridge"),
        *("by the river", "in a box", "on a bench", "behind a rock", "in the sand", "on the stairs", "under the table"),
        *("next to the well", "in the snow", "on the wall", "in the bushes", "at the bus stop", "behind the door"),
        *("in an old boat", "on the roof", "in the barn", "near the pond", "in a hole", "between two stones"),
    ),
    "when": (
        *("in the morning", "in the evening", "after school", "after lunch", "at noon", "on Monday", "on Tuesday"),
        *("on Wednesday", "on Thursday", "on Friday", "on Saturday", "on Sunday", "before breakfast", "after dinner"),
        *("last week", "yesterday", "at night", "in summer", "in winter", "in spring", "early in the morning"),
    ),
    "clock": (
        *(
            "at one o'clock",
            "at two o'clock",
            "at three o'clock",
            "at four o'clock",
            "at five o'clock",
            "at six o'clock",
        ),
        *("at seven o'clock", "at eight o'clock", "at half past three", "at half past five", "at half past seven"),
        *("at sunset", "at midnight", "late in the evening", "before dark", "at ten o'clock", "at nine o'clock"),
    ),
    "animal": words(
        "cat dog rabbit duck goat pony donkey fox frog hen bear wolf mouse parrot turtle pig cow horse sheep "
        "goose swan crow"
    ),
    "animals": words(
        "cats dogs rabbits ducks goats ponies donkeys foxes frogs hens mice parrots turtles pigs cows horses "
        "swans crows bees"
    ),
    "goods": words(
        "apples pears plums lemons eggs rolls cakes cookies pencils books candles roses tomatoes carrots "
        "onions buttons stamps"
    ),
    "number": words("two three four five six seven eight nine ten eleven twelve"),
    "relative": words("mother father sister brother aunt uncle grandmother grandfather cousin neighbour"),
    "chore": (
        *("clean the kitchen", "carry the bags", "paint the fence", "feed the hens", "wash the car", "pick the apples"),
        *("bake a cake", "mend the roof", "water the flowers", "find the key", "cook the soup", "sweep the floor"),
        *("carry the wood", "wash the dishes", "fold the sheets", "dig the garden", "move the table", "milk the cow"),
    ),
    "weather": words("sunny rainy windy cold warm hot foggy snowy cloudy stormy"),
    "part": words("knee foot hand arm leg finger elbow nose toe back head shoulder"),
    "topic": (
        *(
            "pirates",
            "trains",
            "stars",
            "horses",
            "dragons",
            "the sea",
            "the moon",
            "birds",
            "castles",
            "robots",
            "whales",
        ),
        *("a lost king", "a brave mouse", "two brothers", "flowers", "old ships", "the desert", "ghosts", "bears"),
    ),
    "built": (
        "a boat",
        "a kite",
        "a hut",
        "a sand castle",
        "a snowman",
        "a nest box",
        "a bridge",
        "a tower",
        "a swing",
        "a sledge",
    ),
    "noise": (
        "a bell",
        "a loud bang",
        "a strange song",
        "a cry",
        "a whistle",
        "a drum",
        "a soft voice",
        "a dog",
        "thunder",
        "steps",
    ),
    "minutes": words("ten twenty thirty forty five fifteen"),
    "made": ("a cake", "a soup", "pancakes", "a salad", "a pie", "bread", "a pizza", "jam", "tea", "a big sandwich"),
    "game": ("chess", "cards", "football", "hide and seek", "tennis", "marbles", "tag", "catch", "a board game"),
    "size": words("big small new little tiny huge heavy round broken shiny strange"),
    "sad_why": (
        *(
            "the ball was gone",
            "it rained all day",
            "nobody wanted to play",
            "the cake was burnt",
            "the toy was broken",
        ),
        *("{his} friend moved away", "{his} friend was ill", "the holidays were over", "the shop was closed"),
        *(
            "the bus was gone",
            "there was no more cake",
            "{he} had lost {his} key",
            "the bird flew away",
            "it was time to go",
        ),
    ),
    "glad_why": (
        *(
            "it was {his} birthday",
            "the sun was shining",
            "{his} friend came back",
            "{he} had won the game",
            "it snowed",
        ),
        *("there was cake", "the bird could fly again", "{he} had found {his} key", "the holidays began"),
        *(
            "everybody liked the song",
            "{he} got a letter",
            "the rain stopped",
            "{he} had a new friend",
            "dinner was ready",
        ),
    ),
    "scared_why": (
        *("it was dark", "there was a loud noise", "a dog barked", "the wind was strong", "{he} was alone"),
        *("there was a spider", "the stairs were steep", "the water was deep", "{he} saw a shadow", "the ice was thin"),
    ),
    "tired_why": (
        *("the way was long", "{he} had worked all day", "{he} had not slept", "the bag was heavy", "it was very late"),
        *("{he} had run all the way", "{he} had danced all night", "the hill was high", "{he} had got up early"),
    ),
}
HEROES = (
    *(
        "the fox",
        "the bear",
        "the cat",
        "the dog",
        "the rabbit",
        "the mouse",
        "the duck",
        "the frog",
        "the owl",
        "the pig",
    ),
    *("the wolf", "the hen", "the goat", "the donkey", "the squirrel", "the hedgehog", "the old man", "the king"),
    *("the boy", "the farmer", "the baker", "the prince", "the girl", "the old woman", "the queen", "the princess"),
)
HE = {"the old man", "the king", "the boy", "the farmer", "the baker", "the prince"}
SHE = {"the girl", "the old woman", "the queen", "the princess"}

LAYOUTS = (
    "{text}\n{question}",
    "{text}\n{question}",
    "{text}\n\n{question}",
    "{text} {question}",
    "{text} {question}",
    "{question}\n{text}",
    "{question}\n\n{text}",
    "{question} {text}",
    "(Text|Story|Passage|Context): {text}\n(Question|Q): {question}",
    "(Text|Story|Passage|Context): {text}\n(Question|Q): {question}\n(Answer|A):",
    "(Text|Story|Passage|Context): {text} (Question|Q): {question}",
    "{text}\n(Question|Q): {question}",
    "{text} (Question|Q): {question}",
    "(Question|Q): {question}\n(Text|Story|Passage|Context): {text}",
    "(Read this and answer|Read and answer|Read the text and answer|Read this|Read this story|Read): {text} {question}",
    (
        "(Read this and answer the question|Read the text|Read the story|Here is a text|Here is a story):"
        " {text}\n{question}"
    ),
    "(Here is a short text|Here is a little story|Listen to this|Look at this text). {text} {question}",
    (
        "(Read the text and answer the question|Answer the question about the text|Answer with a few words)(.|:)"
        " {text} {question}"
    ),
    "Answer this: {question} {text}",
    "(Answer the question|Answer from the text|Find the answer): {question}\n{text}",
    "{text} (Now tell me|Tell me|So|Now|Answer this): {question}",
    "{text}\n(Now tell me|Tell me|So|Now|Answer this): {question}",
    "(Please read|Please read this|Could you read this): {text} {question}",
    "I read this: {text} {question}",
    '"{text}" {question}',
    'In "{text}", {question}',
    "{question} (Look in the text|Here is the text|The text is|Text|Story): {text}",
    "(Use this text|Answer from this text|Answer with the words of this text): {question}\n{text}",
)
