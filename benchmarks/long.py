"""Memory of one forward over a long prompt: the live tensors at their peak, beside what the engine plans for them.

    python benchmarks/long.py [--longest 32768]

Random weights of a small geometry in float32 on the CPU, one prompt, the logits of 64 positions: a minute or two.
`whole` computes all rows of a layer at once, as the published code does; `tiled` is what Remask does.
"""

import argparse
import time
from typing import Any
from weakref import finalize

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from remask.models import tiles
from remask.models.config import ModelConfig
from remask.models.contract import Group, Packed
from remask.models.predictor import MaskPredictor
from remask.models.rotary import Rope, Rotations
from remask.models.transformer import Transformer

CONFIG = ModelConfig(
    family="long", vocab_size=32768, d_model=128, n_layers=2, n_heads=4, n_kv_heads=4, head_dim=32, d_ff=512,
    rope_theta=500_000.0,
)  # fmt: skip
READS = 64
MIB = 2**20


class Live(TorchDispatchMode):
    """Bytes of the tensors made while it is entered: alive `now`, at their `peak`, and of the `largest` one."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.largest = 0
        self.alive: set[int] = set()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), named: Any = None) -> Any:
        before = {tensor.untyped_storage()._cdata for tensor in arguments if isinstance(tensor, Tensor)}
        made = function(*arguments, **(named or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor) and (storage := tensor.untyped_storage())._cdata not in self.alive | before:
                self.born(storage)
        return made

    def born(self, storage: torch.UntypedStorage) -> None:
        """Count a storage until it dies."""
        size = storage.nbytes()
        self.alive.add(storage._cdata)
        self.now, self.largest = self.now + size, max(self.largest, size)
        self.peak = max(self.peak, self.now)
        finalize(storage, self.died, storage._cdata, size)

    def died(self, storage: int, size: int) -> None:
        """Its memory is free."""
        self.alive.discard(storage)
        self.now -= size


def forward(model: MaskPredictor, length: int) -> Tensor:
    """Logits of the last READS positions of a prompt of `length` tokens, scaled to it."""
    words, rows = torch.arange(length) % CONFIG.vocab_size, torch.arange(length)
    rotation = Rope("ntk").rotation(model.contract.rotary, length)
    rotations = None if rotation is None else Rotations.of([rotation], torch.zeros_like(rows))
    return model.logits(model.hidden(Packed(words, rows, [Group(0, 1, length)], rows[-READS:], rotations)))


def measure(model: MaskPredictor, length: int, rows_at_once: int) -> tuple[Live, float]:
    """Live bytes and seconds of one forward that takes so many rows of a layer at once."""
    usual, tiles.ROWS_AT_ONCE = tiles.ROWS_AT_ONCE, rows_at_once
    began = time.perf_counter()
    try:
        with torch.inference_mode(), Live() as live:
            forward(model, length)
    finally:
        tiles.ROWS_AT_ONCE = usual
    return live, time.perf_counter() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longest", type=int, default=32768, help="tokens of the longest prompt")
    longest = parser.parse_args().longest
    model = MaskPredictor(Transformer(CONFIG).initialise(torch.Generator().manual_seed(0)))
    print(f"{CONFIG.parameters / 1e6:.1f} M weights, width {CONFIG.d_model}, MLP {CONFIG.d_ff}, MiB\n")
    print("| tokens | tiled | planned | whole | all logits | KiB a token | s |\n|---|---|---|---|---|---|---|")
    length = 1024
    while length <= longest:
        tiled, seconds = measure(model, length, tiles.ROWS_AT_ONCE)
        whole, _ = measure(model, length, length)
        logits = 4 * length * CONFIG.vocab_size
        sizes = (tiled.peak, model.activation_bytes(length), whole.peak, logits)
        told = " | ".join(f"{value / MIB:,.1f}" for value in sizes)
        print(f"| {length:,} | {told} | {tiled.peak / length / 1024:.1f} | {seconds:.1f} |", flush=True)
        length *= 2


if __name__ == "__main__":
    main()
