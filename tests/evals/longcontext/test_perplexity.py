"""Perplexity: maskings are fair, causal models exact, and the far context is what is left out of the second score."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from remask.decoding.objective import Noised, masked_logits
from remask.evals.longcontext.perplexity import Chunk, Estimator, by_position, chunk, maskings, nats
from remask.models.predictor import MaskPredictor
from remask.models.rotary import Rope
from remask.models.transformer import Transformer
from tests.conftest import transformer

Invoke = Callable[..., Any]


def chunks(model: MaskPredictor, tokens: list[int], estimator: Estimator) -> list[Chunk]:
    return [chunk(model, 0, tokens, start, estimator) for start in estimator.starts]


def test_a_masking_and_its_twin_mask_the_others_and_one_more() -> None:
    clean = torch.arange(40)[None]
    maskable = torch.zeros(1, 40, dtype=torch.bool)
    maskable[:, -8:] = True
    masked = torch.cat([n.masked for n in maskings(clean, maskable, 8, 64, 99, 0)])
    counts = masked.sum(1)
    assert len(masked) == 64 and not masked[:, :-8].any()
    assert sorted(counts.tolist()) == sorted([*range(1, 9)] * 8), "stratified: every count as often"
    for noised in maskings(clean, maskable, 8, 8, 99, 1):
        first, second = noised.masked.chunk(2)
        assert (first.sum(1) + second.sum(1) == 9).all() and ((first | second)[:, -8:]).all()
        assert ((first & second).sum(1) == 1).all()
        assert (noised.tokens[noised.masked] == 99).all() and (noised.clean == clean).all()


def test_of_a_model_that_knows_nothing_every_block_has_the_entropy_of_its_guess(tiny: MaskPredictor) -> None:
    config = tiny.model.config
    blank = Transformer(config).initialise(torch.Generator().manual_seed(0))
    with torch.no_grad():
        blank.unembed.weight.zero_()
    estimator = Estimator(length=48, block=8, samples=4, documents=1, recent=16)
    found = chunks(MaskPredictor(blank), list(range(20)) * 3, estimator)
    assert [block.start for block in found] == [8, 16, 24, 32, 40]
    assert all(block.full == block.recent == pytest.approx(math.log(config.vocab_size), abs=1e-6) for block in found)


def test_within_the_recent_context_nothing_is_gained_and_beyond_it_the_two_differ(tiny: MaskPredictor) -> None:
    tokens = torch.randint(0, 20, (48,), generator=torch.Generator().manual_seed(1)).tolist()
    found = chunks(tiny, tokens, Estimator(length=48, block=8, samples=4, documents=1, recent=24))
    assert [block.full == block.recent for block in found] == [True, True, False, False, False]
    assert found == chunks(tiny, tokens, Estimator(length=48, block=8, samples=4, documents=1, recent=24))


def test_scaling_changes_what_is_read_and_a_factor_of_one_does_not(tiny: MaskPredictor) -> None:
    tokens = list(range(20)) * 2

    def read(rope: str) -> float:
        return nats(tiny, tokens, 8, Estimator(length=40, block=8, rope=Rope.of(rope)), 0)

    assert read("ntk:1") == read("none") != read("ntk:4")


def test_a_causal_models_nats_are_those_of_the_chain_rule() -> None:
    model = transformer(attention="block_causal", block_size=1, shift=1)
    assert model.contract.causal
    tokens = torch.randint(0, 20, (24,), generator=torch.Generator().manual_seed(2))
    whole = 0.0
    for position in range(16, 24):  # one token at a time, with nothing behind it
        prefix = tokens[: position + 1][None]
        asked = torch.zeros_like(prefix, dtype=torch.bool)
        asked[:, -1] = True
        hidden = prefix.masked_fill(asked, model.contract.mask_id)
        logits = masked_logits(model, [Noised(prefix, hidden, asked)], 1)
        whole += float(F.cross_entropy(logits, tokens[position : position + 1]))
    found = nats(model, tokens.tolist(), 8, Estimator(length=24, block=8), 0)
    assert found == pytest.approx(whole / 8, abs=1e-5)


def test_points_are_means_over_documents_and_the_cumulative_one_over_blocks() -> None:
    first, second = by_position([Chunk(0, 8, 1.0, 2.0), Chunk(1, 8, 3.0, 3.0), Chunk(0, 16, 4.0, 4.0)])
    assert (first.windowed, first.cumulative) == (pytest.approx(math.exp(2)),) * 2 and first.gained == 0.5
    assert first.low == pytest.approx(math.exp(1)) and first.high == pytest.approx(math.exp(3))
    assert second.windowed == pytest.approx(math.exp(4)) and second.cumulative == pytest.approx(math.exp(3))


def test_the_command_goes_on_document_by_document_and_reads_local_texts(invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir()
    for i in range(3):
        (tmp_path / "texts" / f"{i}.txt").write_text(f"The cat number {i} sat on the mat. " * 40)
    (tmp_path / "texts" / "short.txt").write_text("Too short.")
    ppl = ("eval", "ppl", "--length", "96", "--block", "32", "--samples", "2", "--data", tmp_path / "texts")
    whole = invoke(*ppl, "--documents", "2", "--out", tmp_path / "b")
    assert (tmp_path / "b" / "perplexity.png").exists() and (tmp_path / "b" / "perplexity.svg").exists()
    assert invoke(*ppl, "--documents", "1", "--out", tmp_path / "a").code == 0
    grown = invoke(*ppl, "--documents", "2", "--out", tmp_path / "a")
    assert grown.code == whole.code == 0 and grown.out == whole.out and "windowed" in whole.out
    assert (tmp_path / "a" / "record.jsonl").read_bytes() == (tmp_path / "b" / "record.jsonl").read_bytes()
    _, *lines = map(json.loads, (tmp_path / "a" / "record.jsonl").read_text().splitlines())
    assert [(line["document"], line["start"]) for line in lines] == [(0, 32), (0, 64), (1, 32), (1, 64)]
    few = invoke(*ppl, "--documents", "4")
    assert few.code == 2 and "3 of 4 documents have 96 tokens, 4 are needed" in few.err
