"""What a checkpoint says of itself, its weights unread: family, geometry, ids, tokenizer, defaults, licence."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from ..models.config import ModelConfig
from ..models.families import REPOSITORIES, family_of
from ..models.families.family import Family
from ..text.tokenizer import Text
from . import folder as on_disk
from . import gguf
from .adapter import Adapter, read_adapter
from .defaults import Defaults
from .folder import Index, Vocabulary, clip
from .foreign import refuse_folder
from .head import with_own_head
from .placement import DTYPES
from .shards import Stored, stored_dtype

MASKS = ("<|mdm_mask|>", "<|mask|>", "<|MASK|>", "|<MASK>|", "<M>", "<[MASK]>", "[MASK]")


@dataclass(frozen=True)
class Description:
    """What a checkpoint's folder says of itself, its weights unread."""

    folder: Path
    family: Family
    config: ModelConfig
    text: Text
    defaults: Defaults
    known_tokens: int  # ids from here on are rows without a token; all rows where the tokenizer is not here
    bytes: int  # of all files
    dtype: torch.dtype  # of most weights on disk
    index: Index | None  # of weights that are not here, as an outline may have them
    licence: str | None
    stored: Mapping[str, Stored]
    whole_text: bool  # False: the tokenizer is not here, and `text` knows the special tokens alone
    head: str  # whether it is tied, and who says so
    mask_source: str  # who states the mask's id
    adapter: Adapter | None = None  # whose changes are in `stored`

    @property
    def parameters(self) -> int:
        """Number of weights, tied ones counted once."""
        return self.config.parameters


def inspect(
    folder: Path | str,
    *,
    adapter: Path | None = None,
    family: str | Family | None = None,
    config: Mapping[str, Any] | None = None,
    outline: bool = False,
) -> Description:
    """Everything that a folder or GGUF file says, its weights unread. Raises CheckpointError for what `load` refuses.

    Two matrices are the exception: a head that is stored, but should be tied, is compared with the embedding.
    The user has the last word: `config` holds fields that override those of config.json (null leaves one out), and
    `family` is the family or its name, where architectures does not tell. For an `outline`, config.json is enough.
    `stored` are the tensors as the PEFT adapter in the folder `adapter` changes them.
    """
    folder = Path(folder)
    files = gguf.read(folder) if folder.suffix == ".gguf" else on_disk.read(folder, outline=outline)
    fields, generation, words = files.fields, files.generation, files.words
    user = dict(config or {})
    try:
        known = recognise(folder, fields | user, family)
        parsed, source = _parsed(known, user, fields, generation, words)
        defaults = Defaults.of(known, generation)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {clip(error, 400)}") from None
    stored = files.stored(known, parsed)
    parsed, head = with_own_head(known, parsed, stored, () if files.absent is None else files.absent.names)
    changes = None if adapter is None else read_adapter(adapter)
    if changes is not None and files.absent is None:
        base = parsed
        parsed, stored = changes.merged(known, base, stored)
        head = head if parsed == base else "its own matrix, which the adapter brings"
    return Description(
        folder=folder,
        family=known,
        config=parsed,
        text=Text(words.tokenizer, parsed.eos_ids[0], parsed.mask_id, words.template, words.special, known.eot),
        defaults=defaults,
        known_tokens=words.size if words.whole else parsed.vocab_size,
        bytes=files.bytes,
        dtype=stored_dtype(stored) if files.absent is None else _stated_dtype(fields, files.absent, parsed),
        index=files.absent,
        licence=files.licence,
        stored=stored,
        whole_text=words.whole,
        head=head,
        mask_source=files.origin if source == "config.json" else source,
        adapter=changes,
    )


def _parsed(
    family: Family,
    user: Mapping[str, Any],
    fields: Mapping[str, Any],
    generation: Mapping[str, Any],
    words: Vocabulary,
) -> tuple[ModelConfig, str]:
    """The configuration with its special ids, and who states the mask's."""
    mask, source = _mask(user, {**fields, **user}, generation, words, family)
    ids = {"mask_token_id": mask, "eos_token_id": _end({**fields, **user}, generation, words, family)}
    config = family.parse({**fields, **user, **ids})
    _check(config, words)
    return config, source


def recognise(folder: Path, fields: Mapping[str, Any], family: str | Family | None = None) -> Family:
    """The family of a folder: as the user says, as its repository is known, or as config.json says.

    Raises CheckpointError if it is none of ours, or quantised.
    """
    refuse_folder(folder, fields)
    home = folder.resolve().parent.parent.name  # models--org--name/snapshots/commit, as the hub's client has it
    return family_of(fields, family or REPOSITORIES.get(home.removeprefix("models--").replace("--", "/")))


def _stated_dtype(fields: Mapping[str, Any], index: Index, config: ModelConfig) -> torch.dtype:
    """The dtype of weights that are not here: as config.json states, else by the index's bytes, else bfloat16."""
    stated = DTYPES.get(str(fields.get("dtype") or fields.get("torch_dtype")))
    return stated or (torch.float32 if index.bytes >= 4 * config.parameters else torch.bfloat16)


def _mask(
    user: Mapping[str, Any], fields: Mapping[str, Any], generation: Mapping[str, Any], words: Vocabulary, family: Family
) -> tuple[Any, str]:
    """The mask's id and who states it: the user, config.json, generation_config.json, the tokenizer, or the family.

    A mask that the tokenizer declares must be the one of the configuration; only the user may say otherwise.
    """
    known = words.tokenizer.token_to_id
    declared = words.special.get("mask_token")
    if not words.whole and declared is not None and known(declared) is None:
        declared = None
    if declared is not None and known(declared) is None:
        raise CheckpointError(f"the tokenizer's mask_token {clip(declared)} is not in its vocabulary")
    in_words = next((found for name in (declared, *MASKS) if name and (found := known(name)) is not None), None)
    stated = {
        "the user": user.get("mask_token_id"),
        "config.json": fields.get("mask_token_id"),
        "generation_config.json": generation.get("mask_token_id"),
        "the tokenizer": in_words,
        f"the {family.name} family": family.mask_id,
    }
    answers = [(mask, source) for source, mask in stated.items() if mask is not None]
    if not answers:
        raise CheckpointError(
            "neither config.json nor generation_config.json nor the tokenizer names a mask token; state mask_token_id"
        )
    mask, source = answers[0]
    if declared is not None and known(declared) != mask and source != "the user":
        raise CheckpointError(
            f"{source} has mask_token_id {clip(mask)}, but the tokenizer's mask_token {clip(declared)} is "
            f"{known(declared)}; make them equal"
        )
    return mask, source


def _end(fields: Mapping[str, Any], generation: Mapping[str, Any], words: Vocabulary, family: Family) -> Any:
    """End-of-sequence ids: from the configuration, else generation_config.json, the tokenizer, the family."""
    end = words.special.get("eos_token")
    named = words.tokenizer.token_to_id(end) if end else None
    stated = (fields.get("eos_token_id"), generation.get("eos_token_id"), named, list(family.eos_ids))
    return next((value for value in stated if value is not None and value != []), None)


def _check(config: ModelConfig, words: Vocabulary) -> None:
    """Ids must be rows of the model, and the tokenizer must fit it."""
    if not config.eos_ids:
        raise CheckpointError("neither config.json nor generation_config.json nor the tokenizer states eos_token_id")
    ids = {"mask_token_id": [config.mask_id], "eos_token_id": config.eos_ids, "pad_token_id": [config.pad_id]}
    for name, values in ids.items():
        if bad := [value for value in values if type(value) is not int or not 0 <= value < config.vocab_size]:
            raise CheckpointError(f"{name} must be a row below vocab_size = {config.vocab_size}, got {clip(bad[0])}")
    if words.size > config.vocab_size:
        raise CheckpointError(
            f"the tokenizer has ids up to {words.size - 1}, but the model has only {config.vocab_size} rows "
            "(embedding_size, vocab_size): they do not belong together"
        )
