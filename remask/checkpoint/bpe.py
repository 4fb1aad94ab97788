"""Byte-level BPE tokenizers from their parts: a vocabulary, merges, and how text is cut before they apply.

The names of the cuts are llama.cpp's, which GGUF files carry in `tokenizer.ggml.pre`.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from ..errors import CheckpointError, printable

_GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
_BAILING = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
CUTS: dict[str, tuple[str, ...]] = {  # applied one after the other, each to the pieces of the one before
    "qwen2": (_QWEN2,),
    "llama-bpe": (_LLAMA3,),
    "gpt-2": (_GPT2,),
    "smollm": (r"\p{N}", _GPT2),
    "llada-moe": (_BAILING,),
    "default": (r"[\p{P}\$\+<=>\^~\|]+", _GPT2, r"\p{N}+", "[0-9][0-9][0-9]"),
}
SAME = {
    "llama3": "llama-bpe", "llama-v3": "llama-bpe", "gpt2": "gpt-2", "starcoder": "smollm", "refact": "smollm",
    "bailingmoe": "llada-moe", "bailingmoe2": "llada-moe", "deepseek-r1-qwen": "qwen2", "stablelm2": "qwen2",
}  # fmt: skip
CLASSES = {"Qwen2Tokenizer": "qwen2", "DreamTokenizer": "qwen2", "GPT2Tokenizer": "gpt-2"}  # as transformers has them
# Where the cuts differ, tokens do.
PROBES = (
    "Hello, world! It's 12345.67 (or 3.14)…\n\n  Indented:\tx == y;\r\n\r\n",
    "I'LL we're DON'T; über-naïve façade № 42½ ²³ 中文字符 русский 𝄞 <|no special|>",
    "for (i=0;i<10;++i){ a[i] *= 2; }  // done...   \n\n\n#!/bin/sh --flag='x' \"quoted\" $5 a_b ~^|",
    "user\n\nOne (two) [three], -four_five.\nSix\n  seven\n\n- 8\n\n9\n\n\nassistant\n\nThe answer is 10.\n",
    '{"name": "Ann", "age": 31, "tags": ["a", "b"]}\n| 1 . | 3 4 |\n| . 2 | 1 . |\n',
)


class Parts(NamedTuple):
    """What a byte-level BPE tokenizer is made of. `added` are tokens that are recognised in the text itself."""

    vocabulary: Mapping[str, int]
    merges: Sequence[tuple[str, str]]
    added: Mapping[str, bool]  # token -> whether it is special: left out of decoded text

    def build(self, cut: str) -> Tokenizer:
        """The tokenizer that cuts text as `cut` says. Raises CheckpointError if the parts do not fit together."""
        known = SAME.get(cut, cut)
        if known not in CUTS:
            raise CheckpointError(
                f"pre-tokenizer {cut[:100]!r} is not known; known: {', '.join(sorted({*CUTS, *SAME}))}"
            )
        try:
            tokenizer = Tokenizer(models.BPE(dict(self.vocabulary), list(self.merges)))
        except Exception as error:  # the library raises no narrower one
            raise CheckpointError(f"its vocabulary and merges do not fit together: {printable(str(error))}") from error
        if known == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        splits = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in CUTS[known]]
        whole = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*splits, whole])
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_tokens([AddedToken(t, normalized=False, special=special) for t, special in self.added.items()])
        return tokenizer

    def cut_of(self, tokenizer: Tokenizer, prefer: str) -> str:
        """The name of the cut with which these parts tokenize as `tokenizer` does. CheckpointError if there is none."""
        wanted = [ids(tokenizer, text) for text in PROBES]
        for cut in sorted(CUTS, key=lambda cut: cut != prefer):
            mine = self.build(cut)
            if [ids(mine, text) for text in PROBES] == wanted:
                return cut
        raise CheckpointError(f"its tokenizer cuts text in none of the ways that GGUF has names for: {', '.join(CUTS)}")


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of the text alone."""
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def parts_of(tokenizer: Tokenizer) -> Parts:
    """The parts of a byte-level BPE tokenizer. Raises CheckpointError if it is of another kind."""
    said = json.loads(tokenizer.to_str())
    if (kind := said["model"].get("type")) != "BPE" or "ByteLevel" not in json.dumps(said["decoder"]):
        raise CheckpointError(f"its tokenizer is {kind}, not byte-level BPE, and cannot be written as GGUF")
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in said["model"]["merges"]]
    added = {token["content"]: bool(token["special"]) for token in said["added_tokens"]}
    return Parts(tokenizer.get_vocab(with_added_tokens=True), [(left, right) for left, right in pairs], added)


def from_files(
    vocabulary: Mapping[str, Any], merges: str, config: Mapping[str, Any], more: Mapping[str, Any]
) -> Tokenizer:
    """The tokenizer of `vocab.json`, `merges.txt` and `tokenizer_config.json` and perhaps `added_tokens.json`.

    The class that the configuration names says how text is cut.
    """
    named = str(config.get("tokenizer_class", "")).removesuffix("Fast")
    if named not in CLASSES:
        raise CheckpointError(
            f"tokenizer_class {named[:100]!r} has no tokenizer.json and is none of {', '.join(CLASSES)}"
        )
    lines = (line for line in io.StringIO(merges, newline="\n") if line.strip("\n") and not line.startswith("#version"))
    pairs = [(left, right) for left, _, right in (line.rstrip("\r\n").partition(" ") for line in lines)]
    declared = config.get("added_tokens_decoder") or {}
    if not isinstance(declared, dict) or not all(isinstance(entry, dict) for entry in declared.values()):
        raise CheckpointError("added_tokens_decoder must map ids to objects")
    added = {str(token): (index, True) for token, index in more.items()}
    added |= {str(entry.get("content")): (index, bool(entry.get("special"))) for index, entry in declared.items()}
    words = {**vocabulary, **{token: _id(index) for token, (index, _) in added.items()}}
    if bad := next((token for token, index in words.items() if type(index) is not int or index < 0), None):
        raise CheckpointError(f"the id of {bad[:100]!r} must be a whole number, got {words[bad]!r}")
    return Parts(words, pairs, {token: special for token, (_, special) in _by_id(added)}).build(CLASSES[named])


def _by_id(added: Mapping[str, tuple[Any, bool]]) -> Iterable[tuple[str, tuple[Any, bool]]]:
    return sorted(added.items(), key=lambda item: _id(item[1][0]))


def _id(value: Any) -> int:
    try:
        return int(str(value))  # no fraction, nor infinity
    except ValueError:
        raise CheckpointError(f"the id of an added token must be a whole number, got {value!r}") from None
