"""Laws of threads: each step has the number of its engine, and the process keeps its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook

import remask
from remask.cli.doctor import sharing
from remask.engine.engine import Engine
from remask.engine.host import check_threads, default_threads, thread_limit, waiting_share
from remask.engine.requests import Request
from remask.errors import UsageError
from remask.models.contract import Packed
from remask.models.predictor import MaskPredictor
from remask.testing import Hashed
from remask.text.tokenizer import Text
from tests.helpers.data import TINY_LLADA
from tests.helpers.jobs import holes
from tests.helpers.threads import threads_of_forwards

ASK = Request((1, 2, *holes(6)))


@pytest.fixture(autouse=True)
def two() -> Iterator[None]:
    """torch has two threads, so that one and two are both within bounds on every machine, and can be told apart."""
    with thread_limit(2):
        yield


# --- the limit of a step ---


@pytest.mark.parametrize("threads", [1, 2])
def test_a_step_computes_with_the_engines_threads_and_restores_the_callers(
    tiny: MaskPredictor, text: Text, threads: int
) -> None:
    with threads_of_forwards() as seen:
        Engine(tiny, text, threads=threads).submit(ASK).result()
    assert seen == {threads}
    assert torch.get_num_threads() == 2


def test_without_a_number_an_engine_takes_what_torch_has_when_it_is_made(tiny: MaskPredictor, text: Text) -> None:
    engine = Engine(tiny, text)
    with thread_limit(1), threads_of_forwards() as seen:
        engine.submit(ASK).result()
        assert torch.get_num_threads() == 1
    assert seen == {2}


class Interrupted(Hashed):
    """Somebody presses Ctrl-C in the middle of a forward."""

    def hidden(self, batch: Packed) -> Tensor:
        raise KeyboardInterrupt


def test_a_step_that_raises_restores_the_callers_threads(text: Text) -> None:
    with pytest.raises(KeyboardInterrupt):
        Engine(Interrupted(), text, threads=1).submit(ASK).result()
    assert torch.get_num_threads() == 2


def test_two_engines_on_two_threads_each_have_their_own(tiny: MaskPredictor, text: Text) -> None:
    """Every forward of one begins while the other is inside a step too."""
    models = {1: tiny, 2: MaskPredictor(deepcopy(tiny.model))}
    owner = {module: threads for threads, model in models.items() for module in model.model.modules()}
    meeting, seen = Barrier(2, timeout=60), {1: set[int](), 2: set[int]()}

    def note(module: nn.Module, inputs: Any) -> None:
        if isinstance(module, nn.Embedding):
            meeting.wait()
        seen[owner[module]].add(torch.get_num_threads())

    def answer(threads: int) -> int:
        torch.set_num_threads(3 - threads)  # this thread's own number is the other one
        Engine(models[threads], text, threads=threads).submit(ASK).result()
        return torch.get_num_threads()

    hook = register_module_forward_pre_hook(note)
    try:
        with ThreadPoolExecutor(2) as pool:
            after = list(pool.map(answer, (1, 2)))
    finally:
        hook.remove()
    assert seen == {1: {1}, 2: {2}}
    assert after == [2, 1]
    assert torch.get_num_threads() == 2


# --- what `load` returns ---


@pytest.mark.parametrize(("asked", "threads"), [(None, 1), (2, 2)])
def test_a_tiny_model_computes_on_one_thread_unless_asked_otherwise(asked: int | None, threads: int) -> None:
    llm = remask.load(TINY_LLADA, device="cpu", threads=asked)
    with threads_of_forwards() as seen:
        llm.generate("Sort 3 1 2.", gen_length=2)
        list(llm.stream("Sort 3 1 2.", gen_length=2))
        llm.infill("a {{1}}")
        llm.score("Sort 3 1 2.", "1 2 3", samples=2)
    assert seen == {threads}
    assert torch.get_num_threads() == 2


def test_the_default_number_is_for_tiny_models_on_a_cpu() -> None:
    assert default_threads(torch.device("cpu"), 9_999_999) == 1
    assert default_threads(torch.device("cpu"), 10_000_000) == 2
    assert default_threads(torch.device("cuda"), 1) == 2


# --- bounds ---


@pytest.mark.parametrize(
    ("threads", "reason"),
    [
        (0, "threads must be at least 1, got 0; leave it out"),
        (-3, "threads must be at least 1, got -3; leave it out"),
        (10**9, f"threads must be at most {max(2, os.cpu_count() or 1)}, the cores of this machine, got 1000000000; "),
        (10**40, "the cores of this machine, got 1"),
        (1.5, "threads must be a whole number, got 1.5"),
        ("2", "threads must be a whole number, got '2'"),
        (True, "threads must be a whole number, got True"),
    ],
)
def test_threads_that_the_machine_does_not_have_are_refused(text: Text, threads: Any, reason: str) -> None:
    for refusing in (
        lambda: check_threads(threads),
        lambda: Engine(Hashed(), text, threads=threads),
        lambda: remask.load("no such model", threads=threads),  # before the model is looked for
    ):
        with pytest.raises(UsageError) as refusal:
            refusing()
        assert reason in str(refusal.value) and "\n" not in str(refusal.value)


# --- threads that wait ---


def test_the_share_of_waiting_is_a_share() -> None:
    assert 0.0 <= waiting_share(seconds=0.01) <= 1.0


def test_doctor_warns_where_threads_wait_and_only_there() -> None:
    assert [sharing(2, waiting).good for waiting in (0.0, 0.1, 0.3, 1.0)] == [True, True, None, None]
    assert "another process holds a core: 4 threads lose 47% of their time" in sharing(4, 0.47).said


# --- how long libgomp's threads spin before they sleep: read once, when torch is imported ---


def environment(code: str, **variables: str) -> tuple[str, str]:
    """What a fresh interpreter prints, on stdout and stderr, with these variables of OpenMP and no others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", code], env=clean | variables, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


SPIN = "import os; print(os.environ.get('GOMP_SPINCOUNT'))"


def test_remask_before_torch_shortens_the_spin() -> None:
    out, shown = environment(f"import remask, torch; {SPIN}", OMP_DISPLAY_ENV="verbose")
    assert out == "10000"
    if "GOMP_SPINCOUNT" not in shown:
        pytest.skip("this build of torch has another OpenMP library")
    assert "GOMP_SPINCOUNT = '10000'" in shown


def test_torch_before_remask_keeps_its_own_spin() -> None:
    out, shown = environment(f"import torch, remask; {SPIN}", OMP_DISPLAY_ENV="verbose")
    assert out == "None"
    assert "GOMP_SPINCOUNT = '10000'" not in shown


@pytest.mark.parametrize(
    ("variables", "spin"),
    [
        ({"GOMP_SPINCOUNT": "7"}, "7"),
        ({"GOMP_SPINCOUNT": ""}, ""),
        ({"OMP_WAIT_POLICY": "passive"}, "None"),
    ],
)
def test_what_the_user_says_of_waiting_stands(variables: dict[str, str], spin: str) -> None:
    assert environment(f"import remask; {SPIN}", **variables)[0] == spin


def test_the_command_line_has_the_short_spin_too() -> None:
    assert environment(f"from remask.cli import main; {SPIN}")[0] == "10000"
