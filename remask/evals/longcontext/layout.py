"""A form becomes a probe: a prompt whose canvas has exactly the length asked for, in the model's own tokens."""

from dataclasses import dataclass
from random import Random

from ...errors import RequestError
from ...text.tokenizer import Text
from .haystack import Encode, Filling, TooShort

PLACE = "[[document]]"  # stands for the user's text while the chat template is taken apart


@dataclass(frozen=True)
class Form:
    """What is hidden and what is asked, as text, before it has a length.

    `stem` begins the answer. `part`: one of the references is enough. `needle` is the sentence that holds the answer.
    """

    body: Filling
    question: str
    stem: str
    references: tuple[str, ...]
    intro: str = ""
    needle: str = ""
    part: bool = False

    @property
    def answer(self) -> str:
        """The references as an answer would list them."""
        return self.references[0] if self.part else ", ".join(self.references)


@dataclass(frozen=True)
class Probe:
    """One prompt and what its answer should be.

    `distance` is how many tokens the first answer position comes after the last token of the needle; None if there is
    no one needle.
    """

    prompt: tuple[int, ...]
    gen_length: int
    references: tuple[str, ...]
    needle: str
    part: bool
    distance: int | None

    @property
    def length(self) -> int:
        """Tokens of the canvas: prompt and answer."""
        return len(self.prompt) + self.gen_length


@dataclass(frozen=True)
class Frame:
    """How a checkpoint is asked: its tokenizer, and the ids that its chat template puts around what the user says."""

    encode: Encode
    opening: tuple[int, ...] = ()
    closing: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: Text, *, raw: bool = False) -> "Frame":
        """Through the chat template, unless `raw` or there is none. Raises RequestError if that hides the prompt."""
        if raw or text.template is None:
            return cls(text.encode)
        chat = text.chat([{"role": "user", "content": PLACE}])
        if chat.count(PLACE) != 1:
            raise RequestError("the chat template does not repeat the user's text as it is; ask with raw")
        before, after = chat.split(PLACE)
        return cls(text.encode, tuple(text.encode(before)), tuple(text.encode(after)))

    def lay(self, form: Form, length: int, gen_length: int, rng: Random) -> Probe:
        """The probe whose canvas has exactly `length` tokens; a given document may leave it shorter.

        Raises RequestError if the form does not fit, with the length that it needs.
        """
        begin = [*self.opening, *self.encode(form.intro)]
        question = self.encode(f"\n\n{form.question}") if form.question else []
        stem = self.encode(form.stem if self.closing else f"\n{form.stem}")
        end = [*question, *self.closing, *stem]
        room = length - len(begin) - len(end) - gen_length
        try:
            body = form.body.fill(self.encode, room, rng)
        except TooShort as short:
            needed = length - room + short.needed
            raise RequestError(
                f"a length of {length} tokens is too short: needle, question and {gen_length} tokens of answer need "
                f"{needed}; raise the length"
            ) from None
        prompt = (*begin, *body.tokens, *end)
        end_of_needle = body.ends.get(form.needle)
        distance = None if end_of_needle is None else len(prompt) - (len(begin) + end_of_needle - 1)
        return Probe(prompt, gen_length, form.references, form.needle, form.part, distance)
