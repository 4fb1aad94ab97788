"""What a tokenizer.json may be made of: known components, of bounded size, whose growth of text is bounded.

The tokenizers library is written in Rust, where memory that cannot be had ends the process. So its file is looked at
first. It is decoded as Latin-1 for that: a length here is a number of bytes.
"""

import binascii
from collections.abc import Iterator, Mapping
from itertools import pairwise
from os.path import commonprefix
from typing import Any

from ..errors import CheckpointError, quoted

COMPONENTS = 64  # of one chain
DEPTH = 8  # of sequences in sequences
SHORT = 64  # bytes of a component's text: what it prepends, or puts in place of a match
PATTERN = 4096  # bytes of a regular expression
TOKEN = 4096  # bytes of a token
GROWTH = 1024  # bytes of a whole chain's output for each byte of its input
SHARE = 12  # times its size that a tokenizer.json may take in memory: those of 262,144 tokens take 11 times theirs
SLACK = 100 << 20  # bytes of memory that a file may take beyond its share

# The bytes that a component makes of one byte, at most; those of `_growth` depend on its fields.
NORMALIZERS = {
    "Sequence": 1, "NFC": 3, "NFD": 4, "NFKC": 11, "NFKD": 11, "Nmt": 1, "Lowercase": 2, "Strip": 1, "StripAccents": 1,
    "BertNormalizer": 4, "Prepend": 1, "Replace": 1, "ByteLevel": 2, "Precompiled": 1,
}  # fmt: skip
PRE_TOKENIZERS = {
    "Sequence": 1, "BertPreTokenizer": 1, "ByteLevel": 2, "CharDelimiterSplit": 1, "Digits": 1, "FixedLength": 1,
    "Metaspace": 4, "Punctuation": 1, "Split": 1, "UnicodeScripts": 1, "Whitespace": 1, "WhitespaceSplit": 1,
}  # fmt: skip
DECODERS = {
    "Sequence": 1, "BPEDecoder": 2, "ByteFallback": 3, "ByteLevel": 3, "CTC": 2, "Fuse": 1, "Metaspace": 1,
    "Replace": 1, "Strip": 1, "WordPiece": 2,
}  # fmt: skip
POST_PROCESSORS = {
    "Sequence": 1, "BertProcessing": 1, "ByteLevel": 1, "RobertaProcessing": 1, "TemplateProcessing": 1,
}  # fmt: skip
CHAINS = {  # the file's name for each: what is known there, and the name of a Sequence's own list
    "normalizer": (NORMALIZERS, "normalizers"),
    "pre_tokenizer": (PRE_TOKENIZERS, "pretokenizers"),
    "post_processor": (POST_PROCESSORS, "processors"),
    "decoder": (DECODERS, "decoders"),
}
MODELS = ("BPE", "Unigram", "WordLevel", "WordPiece")


def check(said: Mapping[str, Any], size: int) -> None:
    """Refuse a tokenizer.json of `size` bytes that the library cannot be given.

    Raises CheckpointError, whose message goes on after "it".
    """
    growth = {name: _chain(name, said.get(name)) for name in CHAINS}
    grown = growth["normalizer"] * growth["pre_tokenizer"]
    _at_most(grown, GROWTH, "bytes that its normalizer and pre_tokenizer make of one")
    memory = size + _model(said.get("model")) + _added(said.get("added_tokens"), growth["normalizer"])
    _at_most(memory, SHARE * size + SLACK, "bytes of memory for its tokens and merges")


def _chain(name: str, component: Any) -> int:
    """The product of the growths of a chain's components."""
    growth = 1
    if component is None:
        return growth
    for count, part in enumerate(_parts(name, component, 0)):
        _at_most(count + 1, COMPONENTS, f"components of its {name}")
        growth *= _growth(name, part)
        _at_most(growth, GROWTH, f"bytes that its {name} makes of one")
    return growth


def _parts(name: str, component: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    """The components in their order, each with a known type."""
    known, inner = CHAINS[name]
    kind = component.get("type") if isinstance(component, dict) else component
    if not isinstance(kind, str) or kind not in known or not isinstance(component, dict):
        raise CheckpointError(f"has a {name} {quoted(kind)} that is not known; known: {', '.join(sorted(known))}")
    _at_most(depth, DEPTH, f"sequences within sequences of its {name}")
    if kind != "Sequence":
        yield component
        return
    parts = component.get(inner)
    if not isinstance(parts, list):
        raise CheckpointError(f"has a Sequence as {name} without a list {inner!r}; download it again")
    for part in parts:
        yield from _parts(name, part, depth + 1)


def _growth(name: str, part: Mapping[str, Any]) -> int:
    """The growth of one component, whose texts are bounded here."""
    kind = part["type"]
    where = f"{kind} of its {name}"
    for field, value in part.items():
        if field == "pattern":
            _pattern(where, value)
        elif isinstance(value, str) and field != "precompiled_charsmap":
            _at_most(len(value), SHORT, f"bytes of {quoted(field)} in {where}")
    if kind == "TemplateProcessing":
        _template(where, part)
    growth = CHAINS[name][0][kind]
    if kind in ("Replace", "Prepend"):  # a pattern may match the empty text, before and after every byte
        content = part.get("content" if kind == "Replace" else "prepend")
        return growth + (len(content) if isinstance(content, str) else 0)
    if kind == "Precompiled":
        return growth + _longest(part.get("precompiled_charsmap"))
    return growth


def _pattern(where: str, value: Any) -> None:
    for text in value.values() if isinstance(value, dict) else [value]:
        if isinstance(text, str):
            _at_most(len(text), PATTERN, f"bytes of the pattern in {where}")


def _template(where: str, part: Mapping[str, Any]) -> None:
    """Refuse a template that repeats the text."""
    for form in ("single", "pair"):
        pieces = part.get(form)
        if not isinstance(pieces, list):
            raise CheckpointError(f"has no list {form!r} in {where}; download it again")
        _at_most(len(pieces), SHORT, f"pieces of {form!r} in {where}")
        texts = [_text_of(piece) for piece in pieces if isinstance(piece, dict) and "Sequence" in piece]
        _at_most(max(map(texts.count, texts), default=0), 1, f"times the same text of {form!r} in {where}")


def _text_of(piece: Mapping[str, Any]) -> Any:
    """Which text a piece of a template stands for: "A" or "B"."""
    return piece["Sequence"].get("id") if isinstance(piece["Sequence"], dict) else None


def _longest(charsmap: Any) -> int:
    """The length of the longest replacement of a SentencePiece map: the size of a trie, the trie, replacements."""
    try:
        blob = binascii.a2b_base64(charsmap, strict_mode=True)
    except (ValueError, TypeError):
        raise CheckpointError("has a precompiled_charsmap that is no base64 text; download it again") from None
    trie = int.from_bytes(blob[:4], "little")
    if len(blob) < 4 or trie % 4 or trie > len(blob) - 4:
        raise CheckpointError(
            f"has a precompiled_charsmap that states a trie of {trie} bytes, and has {max(len(blob) - 4, 0)} after "
            "that number; download it again"
        )
    return max(map(len, blob[4 + trie :].split(b"\0")))


def _model(model: Any) -> int:
    """The memory that the library takes for the vocabulary and the merges, in bytes; as measured, rounded up."""
    kind = model.get("type", "BPE") if isinstance(model, dict) else None  # the first files named none
    if kind not in MODELS:
        raise CheckpointError(f"has a model {quoted(kind)} that is not known; known: {', '.join(MODELS)}")
    for field, value in model.items():
        if isinstance(value, str):
            _at_most(len(value), SHORT, f"bytes of {quoted(field)} in its model")
    words, merges = model.get("vocab"), model.get("merges", [])
    if not isinstance(words, (list, dict)) or not isinstance(merges, list):
        raise CheckpointError("has a model without a vocabulary, or merges that are no list; download it again")
    tokens = [entry[0] if isinstance(entry, list) and entry else entry for entry in words]
    if not all(isinstance(token, str) for token in tokens):
        raise CheckpointError("has a vocabulary that holds what is no text; download it again")
    _at_most(max(map(len, tokens), default=0), TOKEN, "bytes of its longest token")
    each = 300 * len(tokens) if isinstance(words, dict) else 150 * len(tokens) + 360 * _nodes(tokens)
    return each + 520 * len(merges)


def _nodes(tokens: list[str]) -> int:
    """The nodes of the trie that Unigram makes of its tokens: their different beginnings."""
    tokens = sorted(tokens)
    return sum(map(len, tokens)) - sum(len(commonprefix(pair)) for pair in pairwise(tokens))  # noqa: RUF071 - no paths


def _added(added: Any, growth: int) -> int:
    """The memory that the library takes for the added tokens, in bytes."""
    if added is None:
        return 0
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise CheckpointError("has added_tokens that are no list of objects; download it again")
    characters = 0
    for token in added:
        length = len(token["content"]) if isinstance(token.get("content"), str) else 0
        _at_most(length, TOKEN, "bytes of its longest added token")
        characters += length * (growth if token.get("normalized", True) else 1)
    return 600 * len(added) + 80 * characters


def _at_most(number: int, bound: int, what: str) -> None:
    if number > bound:
        raise CheckpointError(f"has {number:,} {what}; the limit is {bound:,}; take another tokenizer.json")
