"""Trained checkpoints that belong to the tests: what the package ships may change without moving a golden or a law."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"
TINY_LLADA = str(DATA / "tiny-llada")  # full attention, 256 positions, trained on the tasks of `remask.tasks`
TINY_BLOCKWISE = str(DATA / "tiny-blockwise")  # the same, block-causal in blocks of 16, and taught to edit
