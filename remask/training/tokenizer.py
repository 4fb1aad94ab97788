"""Tokenizers with LLaDA's special tokens: byte-level BPE, every digit a token of its own; or whole words."""

from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from ..checkpoint.folder import tokenizer_in
from ..errors import CheckpointError, UsageError
from ..tasks import TASKS, Example, examples
from ..tasks.corpus import stories
from ..text.chat import LLADA_TEMPLATE
from ..text.tokenizer import Text
from .config import Mixture

SPECIAL = {
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
    "mask_token": "<|mdm_mask|>",
}
PLAIN = ("simple", "children")  # the levels whose words the vocabulary is made of
UNKNOWN = "<|unknown|>"
HEADERS = ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
EXTRA = "user assistant system \n\n The quick brown fox jumps over the lazy dog. Hello! What is your name? Thank you."


def build(vocab_size: int, mixture: Mixture, corpus: Path | None, examples_per_task: int = 4000) -> Tokenizer:
    """Train the tokenizer on the training split of every task, and on stories; special tokens take the last ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d|\."), "isolated"),  # a digit or a blank cell is always one token
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    added = [*dict.fromkeys(SPECIAL.values()), *HEADERS]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(added),
        min_frequency=3,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    drawn = chain.from_iterable(islice(examples(task, "train", 0), examples_per_task) for task in TASKS.values())
    plain = [story.text for story in stories(corpus, "train") if story.level in PLAIN] if corpus else []
    told = (text for text in plain if mixture.text)
    tokenizer.train_from_iterator(chain(map(_plain, drawn), told, [EXTRA] * 100), trainer)
    tokenizer.add_special_tokens(added)
    return tokenizer


def build_words(words: Sequence[str]) -> Tokenizer:
    """A tokenizer of whole words with spaces between; special tokens take the last ids."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate((*words, UNKNOWN))}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([*dict.fromkeys(SPECIAL.values()), *HEADERS])
    return tokenizer


def read(path: Path, size: int) -> Text:
    """The tokenizer of a run. Raises UsageError unless it has the special tokens, and no id beyond `size`."""
    remedy = "use another folder, or remove it with the state to begin from the start"
    try:
        tokenizer = tokenizer_in(path)
    except CheckpointError as error:
        raise UsageError(f"{error}; {remedy}") from None
    ids = tokenizer.get_vocab()
    if lacking := [token for token in SPECIAL.values() if token not in ids]:
        raise UsageError(f"{path} lacks the token {lacking[0]!r}; {remedy}")
    if (largest := max(ids.values())) >= size:
        raise UsageError(f"{path} has a token {largest:,}, and model.vocab_size is {size:,}; {remedy}")
    return wrap(tokenizer)


def wrap(tokenizer: Tokenizer) -> Text:
    """The tokenizer with LLaDA's chat template; one of whole words has none, for nobody chats in them."""
    ids = tokenizer.get_vocab()
    return Text(
        tokenizer,
        eos_id=ids[SPECIAL["eos_token"]],
        mask_id=ids[SPECIAL["mask_token"]],
        template=None if isinstance(tokenizer.model, models.WordLevel) else LLADA_TEMPLATE,
        special=SPECIAL,
        eot="<|eot_id|>",
    )


def _plain(example: Example) -> str:
    return f"user\n\n{example.prompt}\nassistant\n\n{example.answer}"
