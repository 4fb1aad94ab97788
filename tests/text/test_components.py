"""A tokenizer.json loads if it is like those that are published; what would take memory is refused before it does."""

import base64
import json
import string
import subprocess
import sys
from itertools import islice, product
from pathlib import Path
from typing import Any

import pytest

from remask.checkpoint.folder import vocabulary
from remask.errors import CheckpointError

WORDS = {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}
BLANK: dict[str, Any] = {
    "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
    "pre_tokenizer": None, "post_processor": None, "decoder": None, "model": WORDS,
}  # fmt: skip
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SPACES = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def charsmap(trie: bytes, texts: bytes, stated: int | None = None) -> dict[str, Any]:
    """A map as SentencePiece compiles it: the size of a trie, the trie, texts that each end in a zero."""
    blob = (len(trie) if stated is None else stated).to_bytes(4, "little") + trie + texts
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(blob).decode()}


def replace(content: str, pattern: Any = "e") -> dict[str, Any]:
    return {
        "type": "Replace",
        "pattern": {"String": pattern} if isinstance(pattern, str) else pattern,
        "content": content,
    }


def sequence(name: str, *parts: Any) -> dict[str, Any]:
    return {"type": "Sequence", name: list(parts)}


def template(*texts: str) -> dict[str, Any]:
    pieces = [{"Sequence": {"id": text, "type_id": 0}} for text in texts]
    pair = [{"Sequence": {"id": text, "type_id": 0}} for text in "AB"]
    return {"type": "TemplateProcessing", "single": pieces, "pair": pair, "special_tokens": {}}


def nested(depth: int) -> dict[str, Any]:
    return {"type": "NFC"} if depth == 0 else sequence("normalizers", nested(depth - 1))


def bpe(tokens: int) -> dict[str, Any]:
    """A BPE vocabulary of so many tokens, nearly all of which a merge makes."""
    words = [*string.ascii_lowercase]
    merges: list[list[str]] = []
    for left in words:  # it grows
        for right in string.ascii_lowercase:
            if len(words) < tokens:
                words.append(left + right)
                merges.append([left, right])
    return {"type": "BPE", "vocab": {word: i for i, word in enumerate(words)}, "merges": merges}


def written(folder: Path, fields: dict[str, Any] | str) -> Path:
    text = fields if isinstance(fields, str) else json.dumps({**BLANK, **fields}, ensure_ascii=False)
    (folder / "tokenizer.json").write_text(text, encoding="utf-8")
    return folder


PUBLISHED: dict[str, dict[str, Any]] = {
    "byte-level BPE": {
        "normalizer": {"type": "NFC"},
        "pre_tokenizer": sequence(
            "pretokenizers",
            {"type": "Split", "pattern": {"Regex": GPT2}, "behavior": "Isolated", "invert": False},
            {**BYTE_LEVEL, "use_regex": False},
        ),
        "post_processor": sequence("processors", BYTE_LEVEL, template("A")),
        "decoder": BYTE_LEVEL,
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"], "unk_token": None},
    },
    "SentencePiece as BPE": {
        "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, replace("▁", " ")),
        "decoder": sequence(
            "decoders",
            replace(" ", "▁"),
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ),
        "model": {
            "type": "BPE",
            "vocab": {"<unk>": 0, "▁": 1, "a": 2},
            "merges": [],
            "unk_token": "<unk>",
            "byte_fallback": True,
        },
    },
    "SentencePiece as Unigram": {
        "normalizer": sequence(
            "normalizers",
            charsmap(bytes(1024), b" \0" + b"x" * 33 + b"\0"),
            {"type": "Strip", "strip_left": False, "strip_right": True},
            replace("▁", {"Regex": " {2,}"}),
        ),
        "pre_tokenizer": sequence("pretokenizers", {"type": "WhitespaceSplit"}, SPACES),
        "post_processor": template("A"),
        "decoder": SPACES,
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["▁", -1.0], ["▁a", -2.0]]},
    },
    "ALBERT": {
        "normalizer": sequence(
            "normalizers",
            replace('"', "``"),
            replace('"', "''"),
            {"type": "NFKD"},
            {"type": "StripAccents"},
            {"type": "Lowercase"},
        ),
        "pre_tokenizer": SPACES,
        "decoder": SPACES,
        "model": {**WORDS, "vocab": {"▁a": 0, "[UNK]": 1}},
    },
    "BERT": {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "BertProcessing", "sep": ["a", 0], "cls": ["a", 0]},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "a": 1},
        },
    },
    "words": {
        "normalizer": {"type": "NFKC"},
        "pre_tokenizer": sequence(
            "pretokenizers", {"type": "Digits", "individual_digits": True}, {"type": "Whitespace"}
        ),
        "decoder": {"type": "Fuse"},
    },
}

HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "trie beyond the map": ({"normalizer": charsmap(b"", b"", 2**32 - 1)}, "a trie of 4294967295 bytes, and has 0"),
    "trie one too long": ({"normalizer": charsmap(bytes(8), b"", 12)}, "a trie of 12 bytes, and has 8"),
    "trie in a sequence": ({"normalizer": sequence("normalizers", charsmap(b"", b"", 2**31))}, "states a trie of"),
    "map of nothing": ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}}, "states a trie of"),
    "map of no base64": ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": "\u2581"}}, "no base64 text"),
    "map as a list": ({"normalizer": {"type": "Precompiled", "precompiled_charsmap": [0]}}, "no base64 text"),
    "map with a long text": ({"normalizer": charsmap(bytes(4), b"x" * 2000)}, "2,001 bytes that its normalizer makes"),
    "replacements": ({"normalizer": sequence("normalizers", *[replace("ee")] * 10)}, "bytes that its normalizer makes"),
    "replacement": ({"normalizer": replace("e" * 100)}, "it has 100 bytes of 'content' in Replace of its normalizer"),
    "empty pattern": ({"normalizer": sequence("normalizers", *[replace("e", "")] * 11)}, "2,048 bytes that its normal"),
    "regular expression": (
        {"normalizer": sequence("normalizers", *[replace("e" * 30, {"Regex": ""})] * 3)},
        "29,791 bytes that its normalizer makes of one; the limit is 1,024",
    ),
    "prefixes": ({"normalizer": {"type": "Prepend", "prepend": "x" * 65}}, "65 bytes of 'prepend'"),
    "bytes as characters": ({"normalizer": sequence("normalizers", *[{"type": "ByteLevel"}] * 11)}, "2,048 bytes"),
    "bytes as characters, cut": ({"pre_tokenizer": sequence("pretokenizers", *[BYTE_LEVEL] * 11)}, "its pre_tokenizer"),
    "both chains": (
        {
            "normalizer": sequence("normalizers", *[replace("e" * 15)] * 2),
            "pre_tokenizer": sequence("pretokenizers", *[BYTE_LEVEL] * 3),
        },
        "2,048 bytes that its normalizer and pre_tokenizer make of one",
    ),
    "replacements, decoding": ({"decoder": sequence("decoders", *[replace("ee")] * 10)}, "that its decoder makes"),
    "replacement, decoding": ({"decoder": replace("e" * 100)}, "bytes of 'content' in Replace of its decoder"),
    "many components": ({"normalizer": sequence("normalizers", *[{"type": "Strip"}] * 65)}, "65 components of its no"),
    "nested": ({"normalizer": nested(9)}, "it has 9 sequences within sequences of its normalizer; the limit is 8"),
    "deeply nested": ({"normalizer": nested(300)}, "sequences within sequences|not valid JSON"),
    "unknown": (
        {"normalizer": {"type": "Novel"}},
        "a normalizer 'Novel' that is not known; known: BertNormalizer, Byte",
    ),
    "without a type": ({"normalizer": {"precompiled_charsmap": "/////w=="}}, "a normalizer None that is not known"),
    "as a list": ({"normalizer": ["Precompiled", "/////w=="]}, "that is not known"),
    "unknown, cut": ({"pre_tokenizer": {"type": "Delimiter"}}, "a pre_tokenizer 'Delimiter' that is not known"),
    "unknown decoder": ({"decoder": {"type": "Metaspaces"}}, "a decoder 'Metaspaces' that is not known"),
    "unknown model": ({"model": {"type": "Novel", "vocab": {}}}, "a model 'Novel' that is not known"),
    "unknown processor": ({"post_processor": {"type": "Twice"}}, "a post_processor 'Twice' that is not known"),
    "repeated text": ({"post_processor": template(*"AAAA")}, "it has 4 times the same text of 'single'"),
    "long pattern": (
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a|" * 9999}, "behavior": "Isolated"}},
        "19,998 bytes of the pattern in Split of its pre_tokenizer; the limit is 4,096",
    ),
    "suffix": ({"model": {**WORDS, "end_of_word_suffix": "x" * 999}}, "999 bytes of 'end_of_word_suffix'"),
    "long token": ({"model": {**WORDS, "vocab": {"a" * 9999: 0, "[UNK]": 1}}}, "9,999 bytes of its longest token"),
    "long added token": ({"added_tokens": [{"id": 2, "content": "a" * 9999}]}, "bytes of its longest added token"),
    "a vocabulary of lists": (
        {"model": {"type": "Unigram", "vocab": [[1, 2]]}},
        "a vocabulary that holds what is no text",
    ),
    "tokens that share nothing": (
        {"model": {"type": "Unigram", "vocab": [[f"{i:04}" * 1000, 0.0] for i in range(500)]}},
        "bytes of memory for its tokens and merges; the limit is",
    ),
    "added tokens that grow": (
        {
            "normalizer": replace("e" * 60),
            "added_tokens": [{"id": i, "content": f"{i}" + "e" * 1000, "normalized": True} for i in range(2, 99)],
        },
        "bytes of memory for its tokens and merges; the limit is",
    ),
}


@pytest.mark.parametrize("kind", PUBLISHED)
def test_published_kinds_of_tokenizers_load(tmp_path: Path, kind: str) -> None:
    tokenizer = vocabulary(written(tmp_path, PUBLISHED[kind])).tokenizer
    assert tokenizer.decode(tokenizer.encode("a", add_special_tokens=False).ids).strip() == "a"


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_would_take_memory_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    fields, message = HOSTILE[kind]
    with pytest.raises(CheckpointError, match=message) as caught:
        vocabulary(written(tmp_path, fields))
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()


def test_a_part_that_comes_twice_is_refused(tmp_path: Path) -> None:
    text = json.dumps(BLANK).replace('"normalizer": null', '"normalizer": null, "normalizer": {"type": "NFC"}')
    with pytest.raises(CheckpointError, match="'normalizer' comes twice"):
        vocabulary(written(tmp_path, text))


def test_files_of_merges_are_bounded_too(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1, "ab": 2}')
    (tmp_path / "merges.txt").write_text("a b\n" * 300_000)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "Qwen2Tokenizer"}')
    with pytest.raises(CheckpointError, match=r"take 135,001,050 bytes; the limit is 109,657,\d\d\d"):
        vocabulary(tmp_path)


def names(count: int, letters: str = string.ascii_lowercase, length: int = 4) -> list[str]:
    return ["".join(name) for name in islice(product(letters, repeat=length), count)]


LARGE: dict[str, tuple[str, Any]] = {
    "words": (
        "tokenizer.json",
        lambda: {**BLANK, "model": {**WORDS, "vocab": {n: i for i, n in enumerate(names(390_000))} | {"[UNK]": 0}}},
    ),
    "merges": ("tokenizer.json", lambda: {**BLANK, "model": bpe(140_000)}),
    "more merges": ("tokenizer.json", lambda: {**BLANK, "model": bpe(400_000)}),
    "Unigram": (
        "tokenizer.json",
        lambda: {**BLANK, "model": {"type": "Unigram", "unk_id": 0, "vocab": [[n, 0] for n in names(190_000)]}},
    ),
    "no Unigram": (
        "tokenizer.json",
        lambda: {**BLANK, "model": {"type": "Unigram", "unk_id": 0, "vocab": [[n * 25, 0] for n in names(40_000)]}},
    ),
    "added tokens": (
        "tokenizer.json",
        lambda: {
            **BLANK,
            "added_tokens": [
                {
                    "id": i + 2,
                    "content": f"<{n}>",
                    "single_word": False,
                    "lstrip": False,
                    "rstrip": False,
                    "normalized": False,
                    "special": True,
                }
                for i, n in enumerate(names(60_000))
            ],
        },
    ),
    "an unread list": ("tokenizer.json", lambda: {**BLANK, "more": [[]] * 3_000_000}),
    "a list of lists": ("tokenizer_config.json", lambda: {"more": [[]] * 2_500_000}),
    "a list of objects": ("tokenizer_config.json", lambda: {"more": [{"a": 1}] * 1_000_000}),
    "names": ("special_tokens_map.json", lambda: {n: n for n in names(400_000)}),
    "a wide text": ("tokenizer_config.json", lambda: {"more": "x" * 9_000_000 + "𝄞"}),
    "an index": ("model.safetensors.index.json", lambda: {"weight_map": dict.fromkeys(names(450000), "a")}),
}
QUICK = ("merges", "no Unigram", "a list of lists", "names")
MEASURE = """
import resource, sys
from pathlib import Path
from remask.checkpoint import folder
from remask.errors import CheckpointError
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
before = peak()
try:
    folder.weights(Path(sys.argv[1])) if sys.argv[2].startswith("model.") else folder.vocabulary(Path(sys.argv[1]))
except CheckpointError:
    pass
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in LARGE]
)
def test_a_file_takes_at_most_its_share_and_100_mib(tmp_path: Path, kind: str) -> None:
    name, make = LARGE[kind]
    written(tmp_path, {})
    path = tmp_path / name
    path.write_text(json.dumps(make(), separators=(",", ":"), ensure_ascii=False), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path, name], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) <= (12 if name == "tokenizer.json" else 4) * path.stat().st_size + (100 << 20)


def gemma() -> dict[str, Any]:
    """A tokenizer of Gemma's size: 262,144 tokens and 514,906 merges."""
    letters = "αβγδεζηθικλμνξοπρστυφχ"
    words = ["".join(word) for length in range(1, 5) for word in product(letters, repeat=length)]
    words += [f"<unused{i}>" for i in range(262_144 - len(words))]
    pairs = ([word[:at], word[at:]] for word in words if word[0] in letters for at in range(1, len(word)))
    model = {"type": "BPE", "vocab": {word: i for i, word in enumerate(words)}, "merges": list(islice(pairs, 514_906))}
    return {**BLANK, "model": model}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
def test_a_tokenizer_of_gemmas_size_loads_within_its_share(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(gemma(), indent=2, ensure_ascii=False), encoding="utf-8")
    measured = MEASURE.replace("except CheckpointError:\n    pass", "finally:\n    pass")
    done = subprocess.run(
        [sys.executable, "-c", measured, tmp_path, path.name], capture_output=True, text=True, check=True, timeout=300
    )
    assert int(done.stdout) <= 12 * path.stat().st_size + (100 << 20)
