"""Checkpoints of which one file is changed: configuration, tokenizer, weights, index, or the one file of GGUF."""

import json
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import remask
from remask.checkpoint import inspect
from remask.checkpoint.conversion import convert
from tests.fuzz.mutation import RUDE, altered, damaged, written
from tests.helpers import tiny
from tests.helpers.checkpoints import edit, scatter

GOLDEN = Path(__file__).parents[1] / "golden"
FAMILIES = ("dream", "llada_moe", "sdar", "llada2", "rnd1")
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ': ' + m.content | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}a:{% endif %}"
)
SPECIAL = {"eos_token": "w88", "mask_token": {"content": "w89"}, "bos_token": None}
LETTERS = "abcdefghij"


def bases(home: Path) -> list[Path]:
    """One valid checkpoint of every kind."""
    made = [tiny.write(home / name, tiny.config_of(name), tiny.published(name)) for name in FAMILIES]
    made += [Path(shutil.copytree(GOLDEN / name, home / name)) for name in ("random-a", "random-b")]
    scattered = Path(shutil.copytree(GOLDEN / "random-a", home / "scattered"))
    scatter(scattered)
    spoken = tiny.write(home / "spoken", tiny.config_of("llada"), tiny.published("llada"))
    edit(spoken, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", **SPECIAL)
    edit(spoken, "special_tokens_map.json", **SPECIAL)
    edit(spoken, "generation_config.json", eos_token_id=88, steps=4, gen_length=8, temperature=0.5, do_sample=True)
    (spoken / "chat_template.jinja").write_text(TEMPLATE)
    (spoken / "README.md").write_text("---\nlicense: mit\n---\n")
    pieces = tiny.write(home / "pieces", tiny.config_of("dream"), tiny.published("dream"))
    (pieces / "tokenizer.json").unlink()
    cut_up(pieces)
    convert(inspect(pieces), home / "pieces.gguf")
    return [*made, scattered, spoken, pieces, home / "pieces.gguf"]


def cut_up(folder: Path) -> None:
    """A tokenizer of 88 tokens as vocab.json and merges.txt, and the two special tokens beside them."""
    pairs = [a + b for a in LETTERS for b in LETTERS][: tiny.EOS - len(LETTERS) - 1]
    words = {word: i for i, word in enumerate((*LETTERS, "Ġ", *pairs))}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in pairs))
    edit(folder, "added_tokens.json", **{"<eos>": tiny.EOS, "<mask>": tiny.MASK})
    special = {"eos_token": "<eos>", "mask_token": "<mask>", "pad_token": "<eos>"}
    decoded = {str(i): {"content": t, "special": True} for t, i in (("<eos>", tiny.EOS), ("<mask>", tiny.MASK))}
    edit(folder, "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer", added_tokens_decoder=decoded, **special)


def changed(random: Random, path: Path) -> bytes:
    """The file, changed as its kind allows."""
    data = path.read_bytes()
    if path.suffix == ".json" and random.random() < 0.92:
        fields = json.loads(data)
        if random.random() < 0.2:
            fields |= {random.choice(["x", "_name_or_path", "transformers_version"]): random.choice(RUDE)}
        else:
            fields = altered(random, fields)
        text = written(fields)
        return (text if random.random() < 0.95 else text[:-1] + ',"x":1,"x":2}').encode("utf-8", "surrogatepass")
    if path.suffix == ".safetensors":
        return random.choice([_weights, _weights, _header, damaged])(random, data)
    if path.suffix == ".gguf":
        return random.choice([_numbers, _numbers, damaged])(random, data)
    return damaged(random, data)


def _weights(random: Random, data: bytes) -> bytes:
    """Other numbers among the weights, infinity and NaN among them."""
    start = 8 + int.from_bytes(data[:8], "little")
    at = start + 4 * random.randrange((len(data) - start) // 4)
    number = random.choice([b"\0\0\xc0\x7f", b"\0\0\x80\xff", random.randbytes(4), b"\0\0\x80\x3f", b"\0\0\0\0"])
    return data[:at] + number + data[at + 4 :]


def _header(random: Random, data: bytes) -> bytes:
    """Another header, of the right length or not."""
    length = int.from_bytes(data[:8], "little")
    fields: Any = json.loads(data[8 : 8 + length])
    if random.random() < 0.4:
        fields |= {"__metadata__": random.choice([{"format": "pt"}, {"x": "y" * 100}, *RUDE[:9]])}
    else:
        fields = altered(random, fields)
    text = written(fields).encode("utf-8", "surrogatepass")
    text += b" " * random.choice([-len(text) % 8, 0, 3])
    stated = random.choice([len(text)] * 9 + [2**40])
    return stated.to_bytes(8, "little") + text + data[8 + length :]


def _numbers(random: Random, data: bytes) -> bytes:
    """Another whole number in the header of a GGUF file, or other weights behind it."""
    at, size = random.randrange(len(data) // (1 if random.random() < 0.4 else 20)), random.choice([1, 4, 8])
    number = random.choice([0, 1, 2, 255, random.getrandbits(8 * size)]) % 256**size
    return data[:at] + number.to_bytes(size, "little") + data[at + size :]


def fuzzer(home: Path) -> Any:
    """Load a changed checkpoint, and let it answer if it loads."""
    whole = bases(home / "bases")
    for base in whole:
        answer(base)  # each is valid

    def case(random: Random) -> None:
        base = random.choice(whole)
        place = home / base.name
        if base.is_dir():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            for file in base.iterdir():
                (os.link if file.suffix == ".safetensors" else shutil.copy)(file, place / file.name)
            file = random.choice(sorted(base.iterdir()))
            data = changed(random, file)
            (place / file.name).unlink()
            (place / file.name).write_bytes(data)
        else:
            place.write_bytes(changed(random, base))
        answer(place)

    return case


def answer(place: Path) -> None:
    llm = remask.load(str(place), device="cpu")
    llm.generate("w1 w2 ab", raw=True, gen_length=4, steps=2)
    if llm.text.template is not None:
        llm.generate("w1 w2", gen_length=4, steps=2)
