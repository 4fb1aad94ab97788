"""What a shell completes: names of models, recipes and tasks, found without importing anything heavy."""

import os
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path


def models(incomplete: str) -> list[str]:
    """The models of the package, those in the hub's cache, and folders."""
    from .examples import FRAMES

    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    cache = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    cached = [path.name.removeprefix("models--").replace("--", "/") for path in sorted(cache.glob("models--*"))]
    above, _, start = incomplete.rpartition("/")
    around = Path(above or "/").expanduser() if incomplete.startswith(("/", "~")) else Path(above or ".")
    lead = f"{above}/" if "/" in incomplete else ""
    folders = [f"{lead}{path.name}/" for path in sorted(around.glob(f"{_plain(start)}*")) if path.is_dir()]
    return begun([*FRAMES, *cached, *(folders if incomplete else [])], incomplete)


def recipes(incomplete: str) -> list[str]:
    """The recipes that ship, and TOML files here."""
    shipped = [Path(file.name) for file in files("remask.decoding.recipes").iterdir()]
    here = [path.name for path in sorted(Path().glob("*.toml"))]
    return begun([*sorted(path.stem for path in shipped if path.suffix == ".toml"), *here], incomplete)


def tasks(incomplete: str) -> list[str]:
    """The generated tasks, and those of real text."""
    from ..tasks import TASKS
    from ..tasks.corpus import JUDGED

    return begun([*TASKS, *JUDGED, "all"], incomplete)


def begun(names: Iterable[str], incomplete: str) -> list[str]:
    """Those of `names` that begin so."""
    return [name for name in names if name.startswith(incomplete)]


def _plain(start: str) -> str:
    return "".join(f"[{character}]" if character in "*?[" else character for character in start)
