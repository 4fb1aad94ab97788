"""The front door: what `import remask` offers, and what it must not do."""

import json
import subprocess
import sys

import pytest

import remask


def test_exports_are_sorted_and_unique() -> None:
    """As ruff sorts `__all__`: constants, then classes, then functions."""
    assert list(remask.__all__) == sorted(
        set(remask.__all__), key=lambda name: (not name.isupper(), not name[0].isupper(), name)
    )


def test_the_four_verbs_are_exported() -> None:
    assert {"generate", "infill", "load", "stream"} <= set(remask.__all__)


@pytest.mark.parametrize("name", remask.__all__)
def test_every_export_exists(name: str) -> None:
    assert getattr(remask, name) is not None


def test_star_import_gives_exactly_the_exports() -> None:
    names: dict[str, object] = {}
    exec("from remask import *", names)
    assert sorted(names.keys() - {"__builtins__"}) == sorted(remask.__all__)


def test_importing_remask_changes_no_global_of_torch() -> None:
    code = """
import json, os, torch

def state():
    return {
        "default dtype": str(torch.get_default_dtype()),
        "default device": str(torch.get_default_device()),
        "threads": torch.get_num_threads(),
        "interop threads": torch.get_num_interop_threads(),
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "tf32": torch.backends.cudnn.allow_tf32,
        "cudnn benchmark": torch.backends.cudnn.benchmark,
        "random state": torch.random.get_rng_state().sum().item(),
        "environment": sorted(os.environ.items()),
    }

before = state()
import remask
for name in remask.__all__:
    getattr(remask, name)
after = state()
print(json.dumps({key: [before[key], after[key]] for key in before if before[key] != after[key]}))
"""
    assert json.loads(output_of(code)) == {}


@pytest.mark.parametrize("module", ["remask", "remask.cli"])
def test_help_need_not_wait_for_torch(module: str) -> None:
    heavy = "{'matplotlib', 'torch', 'transformers'}"
    assert output_of(f"import sys, {module}; print(sorted({heavy} & sys.modules.keys()))") == "[]"


def output_of(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
