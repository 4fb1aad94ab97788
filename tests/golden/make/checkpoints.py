"""The checkpoints that goldens are made on: one that was trained, and two with random weights, each with its prompts.

The random ones are drawn once and then kept; delete their folders to draw them anew.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from remask.checkpoint import Description, inspect, save
from remask.models.config import ModelConfig
from remask.models.transformer import Transformer
from remask.tasks import TASKS, examples
from remask.text.tokenizer import Text
from tests.helpers.goldens import FOLDERS

# Every second is a story, where the model is unsure: a step that rounding decides proves nothing.
CHAT_TASKS = (
    *("arithmetic", "stories", "recall", "stories", "sorting", "stories"),
    *("extraction", "stories", "sudoku4", "stories", "sudoku6"),
)


class Checkpoint(NamedTuple):
    """What a golden is of: `prompts(described, how many, index of the case)` are the token ids that it is asked."""

    name: str
    described: Description
    prompts: Callable[[Description, int, int], list[list[int]]]


def checkpoint(name: str) -> Checkpoint:
    """The checkpoint of that name; a random one is drawn first if its folder holds no weights."""
    folder = FOLDERS[name]
    if name in RANDOM and not (folder / "model.safetensors").exists():
        draw_checkpoint(folder, RANDOM[name], SEEDS[name])
    return Checkpoint(name, inspect(folder), random_prompts if name in RANDOM else chat_prompts)


def chat_prompts(described: Description, prompts: int, index: int) -> list[list[int]]:
    """Prompts of the tasks that it was trained on, through the chat template, each from another task."""
    asked = []
    for row in range(prompts):
        task = TASKS[CHAT_TASKS[(index + row) % len(CHAT_TASKS)]]
        drawn = next(x for x in examples(task, "heldout", index) if x.prompt)
        asked.append(described.text.encode(described.text.chat([{"role": "user", "content": drawn.prompt}])))
    return asked


def random_prompts(described: Description, prompts: int, index: int) -> list[list[int]]:
    """Random words, of three lengths."""
    draw = random.Random(index)
    words = described.config.eos_ids[0] - 1
    lengths = draw.sample(range(4, 25), prompts)
    return [[draw.randrange(words) for _ in range(length)] for length in lengths]


# --- the random checkpoints ---

SCALE, ENDING = 3.0, 0.4  # standard deviation of logits; what a [MASK] adds to those of both endings, in such units
SEEDS = {"random-a": 2, "random-b": 3}  # chosen so that endings are common and forbidden ids rare
RANDOM = {
    "random-a": ModelConfig(
        family="llada", vocab_size=320, d_model=48, n_layers=2, n_heads=3, n_kv_heads=3, head_dim=16, d_ff=96,
        rope_theta=100.0, max_positions=256, eos_ids=(313,), mask_id=314, pad_id=313,
    ),  # four rows beyond the tokenizer
    "random-b": ModelConfig(
        family="llada", vocab_size=400, d_model=64, n_layers=3, n_heads=4, n_kv_heads=2, head_dim=16, d_ff=128,
        rope_theta=500.0, max_positions=256, eos_ids=(397,), mask_id=398, pad_id=397,
    ),
}  # fmt: skip


def draw_checkpoint(folder: Path, config: ModelConfig, seed: int) -> None:
    """Random weights that decide: sharp attention, logits of a few units, and endings that are guessed now and then.

    Ids are w0, w1, … then start, end, mask, end of turn; rows after these have no token.
    """
    generator = torch.Generator().manual_seed(seed)
    model = Transformer(config).requires_grad_(False)
    looked_at = (config.n_heads + config.n_kv_heads) * config.head_dim
    for name, weight in model.named_parameters():
        weight.normal_(generator=generator)
        if weight.ndim == 1:
            weight.mul_(0.1).add_(1)
        elif name != "embed.weight":
            weight.div_(weight.shape[1] ** 0.5)
        if name.endswith("qkv.weight"):
            weight[:looked_at].mul_(3)
    eos = config.eos_ids[0]
    eot = eos + 2
    model.unembed.weight[[eos, eot]] += model.embed.weight[config.mask_id] * ENDING / config.d_model**0.5
    model.unembed.weight.mul_(SCALE)
    special = {
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "mask_token": "<|mdm_mask|>",
    }
    names = [*(f"w{i}" for i in range(eos - 1)), "<|startoftext|>", "<|endoftext|>", "<|mdm_mask|>", "<|eot_id|>"]
    tokenizer = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(names[eos - 1 :])
    text = Text(tokenizer, eos_id=eos, mask_id=config.mask_id, special=special, eot="<|eot_id|>")
    save(folder, model, text, dtype=torch.float32, sampler={})
