"""What all tests share: one thread, hypothesis without a clock, a trained model, a tiny tokenizer and transformers."""

import os
import sys
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, settings

import remask
from remask.llm import LLM
from remask.models.config import ModelConfig
from remask.models.predictor import MaskPredictor
from remask.models.transformer import Transformer
from remask.text.tokenizer import Text
from remask.training.config import Mixture
from remask.training.tokenizer import build, wrap
from tests.helpers.data import TINY_LLADA

settings.register_profile(
    "laws", deadline=None, max_examples=20, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("laws")
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # in the processes that tests start, too
# Keep what is compiled: else each process that tests start compiles remask anew, and each training half of torch.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

VOCAB, MASK = 24, 23


@pytest.fixture(scope="session")
def llm() -> LLM:
    """A small model that was trained, so that it answers."""
    return remask.load(TINY_LLADA, device="cpu")


@pytest.fixture(scope="session")
def text() -> Text:
    """A tokenizer of 320 ids over all bytes, with LLaDA's special tokens."""
    return wrap(build(320, Mixture(), None, examples_per_task=20))


def transformer(**changes: object) -> MaskPredictor:
    """Two layers in float32, with weights large enough that its guesses are peaked and never tie."""
    fields = {
        "family": "tiny", "vocab_size": VOCAB, "d_model": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 2,
        "head_dim": 8, "d_ff": 64, "max_positions": 96, "mask_id": MASK, "eos_ids": (22,),
    }  # fmt: skip
    network = Transformer(ModelConfig(**(fields | changes)))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.ndim == 2:
                weight.normal_(0.0, 1.6 / weight.shape[1] ** 0.5, generator=generator)
        network.embed.weight.normal_(0.0, 1.0, generator=generator)
    return MaskPredictor(network, eot_ids=(21,))


@pytest.fixture(scope="session")
def tiny() -> MaskPredictor:
    """A tiny transformer with full attention."""
    return transformer()


@pytest.fixture(scope="session")
def blockwise() -> MaskPredictor:
    """A tiny transformer with block-causal attention on a grid of 4."""
    return transformer(attention="block_causal", block_size=4)


@pytest.fixture(scope="session")
def make_transformer() -> Callable[..., MaskPredictor]:
    """Tiny transformers of other geometry."""
    return transformer
