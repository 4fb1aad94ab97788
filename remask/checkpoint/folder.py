"""What may be read of a checkpoint folder: regular files inside it, of bounded size, as data. Nothing is executed."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from ..errors import CheckpointError, printable
from ..text import components
from ..text.tokenizer import tokenizing
from . import strict_json
from .bpe import from_files
from .shards import Stored, headers

if TYPE_CHECKING:
    from ..models.config import ModelConfig
    from ..models.families.family import Family

CONFIG_LIMIT = 1 << 20  # bytes
WORDS_LIMIT = 10 << 20
INDEX_LIMIT = 10 << 20
INDEX = "model.safetensors.index.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"  # of a PEFT adapter, which may lie beside a model's own
TOKENIZER_LIMIT = 64 << 20
SHARE = 4  # times its size that a file may take in memory, but for tokenizer.json
WORD, MERGE = 350, 450  # bytes of memory for one of vocab.json and merges.txt, as measured
VALUE = 130  # bytes of memory for a comma, colon or bracket of JSON, as measured, rounded up
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
SPECIAL = ("bos_token", "eos_token", "pad_token", "unk_token", "cls_token", "sep_token", "mask_token")


class Weights(NamedTuple):
    """The files that hold the weights; `places` says which file each tensor is in, if the folder has an index."""

    files: tuple[Path, ...]
    places: Mapping[str, Path]


class Vocabulary(NamedTuple):
    """A tokenizer, its special tokens by role, and the chat template."""

    tokenizer: Tokenizer
    special: dict[str, str]
    template: str | None
    whole: bool = True  # False: the tokenizer is not here, only its special tokens

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return 1 + max(self.tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)


class Index(NamedTuple):
    """What is known of weights that are not here: the tensors' names, and their bytes; neither without an index."""

    names: frozenset[str] = frozenset()
    bytes: int = 0


class Files(NamedTuple):
    """What a checkpoint says of itself, whatever its format. `origin` is who states `fields`."""

    fields: dict[str, Any]  # of config.json
    generation: dict[str, Any]  # of generation_config.json
    words: Vocabulary
    stored: Callable[["Family", "ModelConfig"], Mapping[str, Stored]]  # the tensors by their published names
    bytes: int
    licence: str | None
    origin: str = "config.json"
    absent: Index | None = None  # weights that are not here


def read(folder: Path, *, outline: bool = False) -> Files:
    """What a folder in the Hugging Face layout says; for an `outline`, weights and tokenizer may be left out."""
    if (fields := read_json(folder, "config.json")) is None:
        raise CheckpointError(f"no config.json in {folder}")

    def stored(family: "Family", config: "ModelConfig") -> Mapping[str, Stored]:
        return headers(*weights(folder)) if absent is None else {}

    absent = absent_weights(folder) if outline else None
    wordless = outline and not any(member(folder, name) for name in ("tokenizer.json", "vocab.json"))
    return Files(
        fields=fields,
        generation=read_json(folder, "generation_config.json") or {},
        words=special_words(folder) if wordless else vocabulary(folder),
        stored=stored,
        bytes=size(folder),
        licence=licence(folder),
        absent=absent,
    )


def clip(value: Any, limit: int = 120) -> str:
    """`value` as a message quotes it: in one line, at most `limit` characters; an exception as its message."""
    shown = " ".join(str(value).split()) if isinstance(value, BaseException) else repr(value)
    return printable(shown if len(shown) <= limit else shown[: limit - 1] + "…", limit)


def member(folder: Path, name: str, limit: int | None = None) -> Path | None:
    """The regular file `name` of the folder, None if there is none. Raises CheckpointError if it lies elsewhere.

    A link must stay inside the folder, or inside the hub's cache of the same repository.
    """
    if not name or name in (".", "..") or "/" in name or "\\" in name or ":" in name or not name.isprintable():
        raise CheckpointError(f"{folder}: {clip(name)} is not the plain name of a file in this folder")
    path = folder / name
    if not path.exists():
        if path.is_symlink():
            raise CheckpointError(f"{path} is a link to nothing; was a download interrupted? Download it again")
        return None
    home, real = folder.resolve(), path.resolve()
    cache = home.parents[1] if len(home.parents) > 1 else home
    in_cache = home.parent.name == "snapshots" and cache.name.startswith("models--")
    if not (real.is_relative_to(home) or (in_cache and real.is_relative_to(cache))):
        raise CheckpointError(f"{path} is a link that leads out of the folder, to {real}; put the file itself there")
    if not real.is_file():
        raise CheckpointError(f"{path} is not a regular file")
    if limit is not None and (size := real.stat().st_size) > limit:
        raise CheckpointError(f"{path} has {size} bytes; the limit is {limit}")
    return path


def read_text(folder: Path, name: str, limit: int = CONFIG_LIMIT) -> str | None:
    """A text file, None if there is none."""
    if (path := member(folder, name, limit)) is None:
        return None
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from None
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None


def read_json(folder: Path, name: str, limit: int = CONFIG_LIMIT) -> dict[str, Any] | None:
    """A JSON object, None if there is no such file. A key that comes twice is refused, and so is NaN."""
    if (text := read_text(folder, name, limit)) is None:
        return None
    try:
        return json_object(text)
    except CheckpointError as error:
        raise CheckpointError(f"{folder / name} {error}") from None


def json_object(text: str, share: int = SHARE) -> dict[str, Any]:
    """The JSON object that `text` is. CheckpointError, as of a file, where it is none, or where it would take more
    memory than `share` times its size and some."""
    values = sum(map(text.count, ",:[{"))
    if (memory := 2 * sys.getsizeof(text) + VALUE * values) > (bound := share * len(text) + components.SLACK):
        raise CheckpointError(f"has {values:,} values, which take {memory:,} bytes; the limit is {bound:,}")
    try:
        value = strict_json.parse(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"is not valid JSON: {clip(error)}") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"must hold a JSON object, not {clip(value)}")
    return value


def weights(folder: Path) -> Weights:
    """The folder's safetensors files: `model.safetensors`, else those of the index, else all there are."""
    if single := member(folder, "model.safetensors"):
        return Weights((single,), {})
    if (said := read_json(folder, INDEX, INDEX_LIMIT)) is not None:
        return _indexed(folder, said.get("weight_map"))
    found = sorted(path.name for path in folder.glob("*.safetensors") if is_own_weights(path))
    if found:
        return Weights(tuple(path for name in found if (path := member(folder, name))), {})
    if pickled := sorted(path.name for path in folder.iterdir() if path.suffix in PICKLED):
        raise CheckpointError(
            f"{folder} has its weights only as pickle ({clip(pickled[0])}), which can run code when read; "
            "get or convert to *.safetensors"
        )
    raise CheckpointError(f"{folder} holds no weights: there is no *.safetensors file")


def is_own_weights(file: Path) -> bool:
    """Whether a file is named as weights of the model itself are, in safetensors."""
    return file.suffix == ".safetensors" and not file.name.startswith(".") and file.name != ADAPTER_WEIGHTS


def absent_weights(folder: Path) -> Index | None:
    """What the index says where one of its files is not here, or nothing where there is no index either.

    None if the weights are here, or if they are here in a form that is refused.
    """
    if any(path.suffix in PICKLED or is_own_weights(path) for path in folder.iterdir() if path.is_file()):
        said = None if member(folder, "model.safetensors") else read_json(folder, INDEX, INDEX_LIMIT)
        if said is None or not isinstance(places := said.get("weight_map"), dict):
            return None
        if all((folder / name).exists() for name in places.values() if isinstance(name, str)):
            return None
    said = read_json(folder, INDEX, INDEX_LIMIT) or {"weight_map": {}}
    places, metadata = said.get("weight_map"), said.get("metadata")
    if not isinstance(places, dict):
        raise CheckpointError(f"{folder / INDEX} must have a weight_map from tensor names to file names")
    total = metadata.get("total_size") if isinstance(metadata, dict) else None
    return Index(frozenset(places), total if type(total) is int else 0)


def _indexed(folder: Path, weight_map: Any) -> Weights:
    index = folder / INDEX
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index} must have a weight_map from tensor names to file names")
    files: dict[str, Path] = {}
    for name in sorted(set(weight_map.values())):
        if not name.endswith(".safetensors"):
            raise CheckpointError(f"{index} names {clip(name)}, which is not a *.safetensors file")
        try:
            path = member(folder, name)
        except OSError as error:  # its name may be too long for any file
            raise CheckpointError(f"{index} names {clip(name)}: {error.strerror}; download it again") from None
        if path is None:
            raise CheckpointError(f"{folder} lacks {clip(name)}, which its index names; download it again")
        files[name] = path
    return Weights(tuple(files.values()), {tensor: files[name] for tensor, name in weight_map.items()})


def vocabulary(folder: Path) -> Vocabulary:
    """tokenizer.json, or what it would be made of, with special tokens and chat template from the files beside it."""
    said = read_json(folder, "tokenizer_config.json", WORDS_LIMIT) or {}
    if (path := member(folder, "tokenizer.json", TOKENIZER_LIMIT)) is None:
        tokenizer = _assembled(folder, said)
    else:
        tokenizer = tokenizer_in(path)
    tokenizer.no_truncation()  # a prompt is cut or padded by nobody but the user
    tokenizer.no_padding()
    broken = f"the tokenizer of {folder} breaks on any text; download it again, or take another model"
    with tokenizing(CheckpointError, broken), suppress(Exception):  # one without an unknown token may know other words
        tokenizer.encode("Some text of 6 words.", add_special_tokens=False)
    more = read_json(folder, "special_tokens_map.json", WORDS_LIMIT) or {}
    special = {role: token for role in SPECIAL if (token := _token(folder, role, said.get(role, more.get(role))))}
    template = read_text(folder, "chat_template.jinja")
    return Vocabulary(
        tokenizer, special, _template(folder, said.get("chat_template")) if template is None else template
    )


def tokenizer_in(path: Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json, which the library gets after its components and sizes are looked at."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    try:
        components.check(json_object(raw.decode("latin-1"), components.SHARE), len(raw))
    except CheckpointError as error:
        raise CheckpointError(f"{path} cannot be read as a tokenizer: it {error}") from None
    with tokenizing(CheckpointError, f"{path} cannot be read as a tokenizer; download it again"):
        return Tokenizer.from_buffer(raw)


def _assembled(folder: Path, said: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of `vocab.json` and `merges.txt`."""
    words = read_json(folder, "vocab.json", TOKENIZER_LIMIT)
    merges = read_text(folder, "merges.txt", TOKENIZER_LIMIT)
    if words is None or merges is None:
        raise CheckpointError(f"{folder} lacks tokenizer.json, and vocab.json with merges.txt; others are not read")
    bound = SHARE * sum((folder / name).stat().st_size for name in ("vocab.json", "merges.txt")) + components.SLACK
    if (memory := WORD * len(words) + MERGE * merges.count("\n")) > bound:
        raise CheckpointError(f"vocab.json and merges.txt of {folder} take {memory:,} bytes; the limit is {bound:,}")
    try:
        return from_files(words, merges, said, read_json(folder, "added_tokens.json", WORDS_LIMIT) or {})
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {clip(error, 400)}") from None


def _token(folder: Path, role: str, value: Any) -> str | None:
    text = value.get("content") if isinstance(value, dict) else value
    if text is not None and not isinstance(text, str):
        raise CheckpointError(f"{folder}: {role} must be a string or hold a 'content', got {clip(value)}")
    return text


def _template(folder: Path, value: Any) -> str | None:
    """The chat template, or the one called `default` of several."""
    if isinstance(value, list) and all(isinstance(entry, dict) for entry in value):
        named = {str(entry.get("name")): entry.get("template") for entry in value}
        if "default" not in named:
            raise CheckpointError(f"{folder}: none of its chat templates {clip(sorted(named))} is called 'default'")
        value = named["default"]
    if value is not None and not isinstance(value, str):
        raise CheckpointError(f"{folder}: chat_template must be a string or a list of templates, got {clip(value)}")
    return value


def special_words(folder: Path) -> Vocabulary:
    """The special tokens and the chat template of a folder without a tokenizer, which knows no other text."""
    said = read_json(folder, "tokenizer_config.json", WORDS_LIMIT) or {}
    more = read_json(folder, "special_tokens_map.json", WORDS_LIMIT) or {}
    declared = said.get("added_tokens_decoder")
    by_id = declared if isinstance(declared, dict) else {}
    ids = {str(entry.get("content")): index for index, entry in by_id.items() if isinstance(entry, dict)}
    ids |= read_json(folder, "added_tokens.json", WORDS_LIMIT) or {}
    known = {token: int(index) for token, index in ids.items() if str(index).isdecimal() and len(str(index)) < 10}
    special = {role: token for role in SPECIAL if (token := _token(folder, role, said.get(role, more.get(role))))}
    template = read_text(folder, "chat_template.jinja") or _template(folder, said.get("chat_template"))
    return Vocabulary(Tokenizer(WordLevel(known, unk_token="")), special, template, whole=False)


def licence(folder: Path) -> str | None:
    """What the front matter of README.md states as `license`, if anything."""
    path = member(folder, "README.md")
    if path is None:
        return None
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 16).splitlines()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from None
    if not lines or lines[0].strip() != "---":
        return None
    for line in lines[1:]:
        key, _, value = line.partition(":")
        if line.strip() == "---" or (key == "license" and value.strip()):
            return value.strip().strip("'\"") or None
    return None


def size(folder: Path) -> int:
    """Bytes of all files in the folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
