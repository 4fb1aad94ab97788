"""The wheel and the source archive: what is in them, and that the wheel alone, in an empty place, is the program."""

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import NamedTuple

import pytest

pytest.importorskip("hatchling", reason="hatchling builds the package")

ROOT = Path(__file__).parents[1]
LIMIT = 40 * 10**6  # bytes
EVERYTHING = """
from importlib.resources import files
from pathlib import Path
import remask
from remask.checkpoint import list_models, load
from remask.checkpoint.hub import SHIPPED
from remask.decoding.recipe import Recipe
from remask.evals.longcontext import anchors
from remask.training import config

here = Path(remask.__file__).parent
for name in SHIPPED:
    assert load(name, device="cpu").folder.is_relative_to(here), name
recipes = [path.name[: -len(".toml")] for path in files("remask.decoding.recipes").iterdir() if ".toml" in path.name]
configs = list((files("remask.training") / "configs").iterdir())
assert all(Recipe.load(name) for name in recipes) and all(config.load(Path(str(path))) for path in configs)
print(here, len(SHIPPED), len(recipes), len(configs))
"""


class Built(NamedTuple):
    """What was built of this checkout, and the wheel's content in a folder of its own."""

    wheel: Path
    sdist: Path
    installed: Path


def build(source: Path, target: Path, *only: str) -> None:
    """Build without isolation, so that nothing is downloaded."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", target, *only], cwd=source, check=True, capture_output=True
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    build(ROOT, folder)
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--no-deps", "--target", folder / "installed", wheel], check=True, capture_output=True)
    return Built(wheel, sdist, folder / "installed")


def contents(folder: Path) -> set[str]:
    """Files below a folder, relative to it, without what running leaves behind."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.as_posix() for path in paths if path.name != ".DS_Store"}


def python(built: Built, cwd: Path, *arguments: str) -> str:
    """What Python prints in a foreign folder, with the wheel and its dependencies, and without the checkout."""
    path = os.pathsep.join([str(built.installed), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | {"PYTHONPATH": path}
    command = [sys.executable, "-S", *arguments]  # -S: no *.pth, which would bring an editable checkout in
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    names = {name for name in zipfile.ZipFile(built.wheel).namelist() if ".dist-info/" not in name}
    assert names == {f"remask/{name}" for name in contents(ROOT / "remask")}
    assert built.wheel.stat().st_size <= LIMIT


def test_the_source_archive_carries_tests_and_pages_and_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (root,) = tmp_path.iterdir()
    names = contents(root)  # hatchling puts in .gitignore, whether it uses it or not
    assert {"tests/test_package.py", "docs/formats.md", "LICENSE", "constraints.txt", "scripts/bootstrap.py"} <= names
    assert [name for name in names if "cache__" in name or name.startswith(".") or "/." in name] == [".gitignore"]
    assert contents(ROOT / "tests") == contents(root / "tests")
    assert built.sdist.stat().st_size <= LIMIT
    build(root, tmp_path / "again", "-t", "wheel")
    assert (tmp_path / "again" / built.wheel.name).read_bytes() == built.wheel.read_bytes()


def test_the_wheel_alone_answers(built: Built, tmp_path: Path) -> None:
    assert python(built, tmp_path, "-m", "remask", "run", "--no-watch", "Sort 5380217.") == "0123578\n"


@pytest.mark.slow
def test_the_wheel_alone_holds_every_model_recipe_configuration_and_page(built: Built, tmp_path: Path) -> None:
    here, *counts = python(built, tmp_path, "-c", EVERYTHING).split()
    assert Path(here) == built.installed / "remask"
    assert [int(count) for count in counts] == [
        len(list((ROOT / "remask" / folder).glob(pattern)))
        for folder, pattern in (("bundled", "*/config.json"), ("decoding/recipes", "*.toml"), ("training/configs", "*"))
    ]
    python(built, tmp_path, "-m", "remask", "explain", "Sort 31.", "--html", "page.html")
    assert "<script" in (tmp_path / "page.html").read_text(encoding="utf-8")
