"""A state, metrics or a tokenizer that somebody edited is refused by what is wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from remask.errors import UsageError
from remask.text.tokenizer import Text
from remask.training import tokenizer as bpe
from remask.training.checkpoints import TrainingState
from remask.training.run import read_metrics

REPORT = '{"step": 1, "loss": 2.5, "rate": 0.1, "tokens_per_second": 9.0, "seconds_left": 3.0, "heldout": null}'
MOMENT = "optimizer.0.0.exp_avg"


def state() -> TrainingState:
    """One after a step of AdamW."""
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(3)).sum().backward()
    optimizer.step()
    return TrainingState(model, {"weight": model.weight.detach().clone()}, [optimizer], 1, 2.5)


def edited(run: Path, how: Callable[[dict[str, Tensor]], object] = id, **changes: Any) -> Path:
    """The state on disk with other tensors, or another state.json."""
    state().save(run, {"name": "x"})
    tensors = load_file(run / "state" / "state.safetensors")
    how(tensors)
    save_file(tensors, run / "state" / "state.safetensors")
    said = json.loads((run / "state" / "state.json").read_text()) | changes
    (run / "state" / "state.json").write_text(json.dumps(said))
    return run


def test_a_state_is_taken_up_as_it_was(tmp_path: Path) -> None:
    fresh = state()
    assert fresh.load(edited(tmp_path), {"name": "x"}) and (fresh.step, fresh.seconds) == (1, 2.5)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (lambda t: t.pop("model.bias"), "lacks 'model.bias'"),
        (lambda t: t.pop(MOMENT), f"lacks '{MOMENT}'"),
        (lambda t: t.update({"optimizer.3.0.x": torch.ones(1)}), r"holds 'optimizer.3.0.x', which is none of this run"),
        (lambda t: t.update({MOMENT: torch.ones(3)}), rf"'{MOMENT}' has shape \[3\], and this run has \[2, 3\] there"),
        (lambda t: t["average.weight"].fill_(float("nan")), "'average.weight' holds NaN or infinity"),
        (lambda t: t["optimizer.0.1.step"].fill_(5), "of step 1, and 'optimizer.0.1.step' is 5"),
    ],
)
def test_tensors_that_were_edited_are_refused_by_name(
    tmp_path: Path, how: Callable[[dict[str, Tensor]], object], message: str
) -> None:
    with pytest.raises(UsageError, match=f"state.* {message}; delete it to begin from the start"):
        state().load(edited(tmp_path, how), {"name": "x"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 7}, "is of step 7, and 'optimizer.0.0.step' is 1"),
        ({"step": "1"}, "step must be a whole number, got '1'"),
        ({"step": -1}, r"step must lie in 0\.\.9,007,199,254,740,992, got -1"),
        ({"seconds": float("nan")}, "seconds must lie in .* got nan"),
        ({"config": []}, r"config must be a table, got \[\]"),
        ({"config": {"name": "y"}}, "holds a run with another name"),
    ],
)
def test_a_state_json_that_was_edited_is_refused_by_its_value(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        state().load(edited(tmp_path, **changes), {"name": "x"})


def test_metrics_are_reports_and_a_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text(REPORT + "\n" + REPORT[:-9])
    assert [line["step"] for line in read_metrics(tmp_path)] == [1]
    for line in ('{"step": "x"}', REPORT.replace("2.5", '"x"'), REPORT.replace("null", '{"sorting": []}'), "3}"):
        (tmp_path / "metrics.jsonl").write_text(f"{REPORT}\n{line}\n")
        with pytest.raises(UsageError, match=r"line 2 is no report of a training .*; remove the file"):
            read_metrics(tmp_path)
    (tmp_path / "metrics.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(UsageError, match=r"cannot read .*metrics.jsonl"):
        read_metrics(tmp_path)


def test_a_tokenizer_is_that_of_a_run(tmp_path: Path, text: Text) -> None:
    path = tmp_path / "tokenizer.json"
    text.tokenizer.save(str(path))
    assert bpe.read(path, 320).mask_id == text.mask_id
    with pytest.raises(UsageError, match=r"has a token 319, and model.vocab_size is 319"):
        bpe.read(path, 319)
    path.write_text(path.read_text().replace("<|mdm_mask|>", "<|no_mask|>"))
    with pytest.raises(UsageError, match=r"lacks the token '<|mdm_mask|>'; use another folder"):
        bpe.read(path, 320)
    path.write_text("{}")
    with pytest.raises(UsageError, match=r"cannot be read as a tokenizer.*; use another folder"):
        bpe.read(path, 320)
