"""How a request looks when a person types it: greetings before it, thanks behind it, slips of the finger."""

from random import Random

from .wording import casual

LEADS = (
    *("hi, ", "hello, ", "hey, ", "hey ", "hi ", "Hi! ", "Hello! ", "Hey! ", "Hi there! ", "Good morning! ", "Hello. "),
    *(
        "so, ",
        "so ",
        "ok, ",
        "okay, ",
        "ok ",
        "and ",
        "well, ",
        "now ",
        "now, ",
        "um, ",
        "hmm, ",
        "oh, ",
        "but ",
        "then ",
    ),
    *(
        "tell me: ",
        "please tell me: ",
        "quick question: ",
        "one question: ",
        "a question: ",
        "my question: ",
        "question: ",
    ),
    *("I have a question. ", "Excuse me, ", "sorry, ", "remask, ", "hi remask, ", "Dear model, ", "hey remask, "),
    *(
        "just wondering, ",
        "by the way, ",
        "I was wondering: ",
        "Thanks! ",
        "Ok. ",
        "Great. ",
        "Next: ",
        "Another one: ",
    ),
    *("let me ask you: ", "I'm curious: ", "just curious, ", "one more thing: ", "first, ", "also, ", "good evening, "),
)
TAILS = (
    *(
        " Please.",
        " please",
        ", please",
        " Thanks!",
        " Thank you.",
        " thanks",
        ", thanks",
        " pls",
        " thx",
        " :)",
        " :-)",
    ),
    *(" I am curious.", " I'd like to know.", " Just asking.", " Hurry up.", " I need it.", " Please help.", " lol"),
    *(
        " It is for school.",
        " My son asks.",
        " I forgot.",
        " My friend wants to know.",
        " Be brief.",
        " In one sentence.",
    ),
    *(" Tell me.", " Please answer.", " Can you help?", " Do you know?", "?", "??", "!", "!!", "...", " ?", "?!"),
)
SHORT = {
    "you": "u",
    "are": "r",
    "your": "ur",
    "please": "pls",
    "thanks": "thx",
    "what": "wat",
    "because": "cuz",
    "people": "ppl",
    "about": "abt",
}


def typed(rng: Random, core: str, *, bare: bool = False) -> str:
    """Type `core`, a frame whose slots stay as they are; a `bare` one takes nothing before it or behind it."""
    text = core
    if core[-1:].isalnum() or core[-1:] in "}'\"":
        text += rng.choice(("", "", ".", "!" if bare and core[-1:] != "}" else "."))
    lead = rng.choice(LEADS) if not bare and rng.random() < 0.15 else ""
    if lead and lead[-2] in ".!:":
        text = text[:1].upper() + text[1:]
    if not bare and rng.random() < 0.1:
        text += rng.choice(TAILS)
    text = lead + text
    text = casual(rng, text[:1].upper() + text[1:])
    if "'" in text and rng.random() < 0.25:
        text = text.replace("'", "")
    luck = rng.random()
    if luck < 0.05:
        return _slipped(rng, text)
    if luck < 0.08:
        return " ".join(SHORT.get(word, word) for word in text.split(" "))
    return text


def _slipped(rng: Random, text: str) -> str:
    """Swap, drop or double a letter inside one word; a slot and a short word stay."""
    words = text.split(" ")
    at = rng.randrange(len(words))
    word = words[at]
    if len(word) < 4 or not word.isalpha():
        return text
    place = rng.randrange(1, len(word) - 1)
    before, letter, behind = word[:place], word[place], word[place + 1 :]
    words[at] = rng.choice(
        (before + behind, before + letter + letter + behind, before + behind[0] + letter + behind[1:])
    )
    return " ".join(words)
