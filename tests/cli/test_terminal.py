"""On a terminal, no text of a stranger has an effect; elsewhere it passes as it is."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from remask.cli.screen import visible
from tests.helpers.data import TINY_LLADA

ROOT = Path(__file__).parents[2]
pty = pytest.importorskip("pty", reason="no pseudo-terminals here")

ATTACK = "\x1b]0;PWNED\x07\x1b]52;c;UFc=\x07\x9b6n\x1b[6n\x1bP1$q\x1b\\\x08\x7f\u202e[link=http://a]PWNED[/link]"
REVISION = "0" * 40
SHORT = "\x1b]0;PWNED\x07\x9b6n\x1b[6n"
OURS = re.compile(r"\x1b\[(\d{1,3}(;\d{1,3})*)?[mKABCDGJ]|\x1b\[\?25[lh]|\r(?=\n)|\r(?=\x1b\[)|\x1b\[\d*[FE]")  # rich's
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
SCRIPT = """
import json, sys
from remask.cli import main
for number, words in enumerate(json.loads(sys.argv[1])):
    print(f"<<{number}>>", flush=True)
    print(f"<<{number}>>", file=sys.stderr, flush=True)
    main(words)
"""


def edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with checkpoints whose every text attacks, and a trace that one of them made."""
    home = tmp_path_factory.mktemp("hostile")
    model = home / f"model{SHORT}"
    for folder in (model, home / "version", home / "template"):
        shutil.copytree(TINY_LLADA, folder)
    said = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
    attack = {"type": "Replace", "pattern": {"Regex": "[a-z0-9]"}, "content": SHORT}
    decoder = {"type": "Sequence", "decoders": [said["decoder"], {"type": "Fuse"}, attack]}
    edit(model / "tokenizer.json", decoder=decoder)
    (model / "README.md").write_text(f"---\nlicense: {ATTACK}[/nope][bold]\n---\n", encoding="utf-8")
    edit(home / "version" / "tokenizer.json", version=ATTACK)
    (home / "template" / "chat_template.jinja").write_text(f"{{{{ raise_exception({ATTACK!r}) }}}}", encoding="utf-8")
    cached = home / "cache" / "models--org--name"
    shutil.copytree(TINY_LLADA, cached / "snapshots" / REVISION)
    shutil.copy(model / "README.md", cached / "snapshots" / REVISION)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(REVISION)
    (home / "trace.jsonl").write_bytes((ROOT / "tests/data/esc-trace.jsonl").read_bytes())
    return home


def commands(home: Path) -> dict[str, list[str]]:
    """A command line for every way in which text goes out."""
    model = str(home / f"model{SHORT}")
    trace, short = str(home / "trace.jsonl"), ["--gen-length", "4", "--steps", "2"]
    return {
        "run, streamed": ["run", "hi", "-m", model, "--no-watch", *short],
        "run, watched": ["run", "hi", "-m", model, *short],
        "run, several": ["run", "hi", "-m", model, "-n", "2", *short],
        "run, JSON": ["run", "hi", "-m", model, "--json", *short],
        "run, recorded": ["run", "hi", "-m", model, "--trace", str(home / f"t{SHORT}.jsonl"), *short],
        "infill": ["infill", "a {{2}} b", "-m", model, "--steps", "2"],
        "chat": ["chat", "-m", model, *short],
        "explain": ["explain", "hi", "-m", model, *short],
        "trace view": ["trace", "view", trace, "--pace", "0"],
        "trace view, recorded": ["trace", "view", str(home / f"t{SHORT}.jsonl"), "--pace", "0"],
        "trace view, a step": ["trace", "view", trace, "--step", "1"],
        "trace view, JSON": ["trace", "view", trace, "--json"],
        "trace export": ["trace", "export", trace, "-o", str(home / f"o{SHORT}.html")],
        "models show": ["models", "show", model],
        "models list": ["models", "list"],
        "models convert": ["models", "convert", model, str(home / f"new{SHORT}")],
        "plan": ["plan", model],
        "doctor": ["doctor"],
        "run, bundled": ["run", "hi", *short],
        "run, bundled, quiet": ["run", "hi", "-q", *short],
        "eval": ["eval", "sorting", "-m", model, "--items", "1", "--gen-length", "4"],
        "an option": ["run", "hi", f"--{ATTACK}"],
        "a value": ["run", "hi", "--recipe", ATTACK],
        "a setting": ["run", "hi", "--set", f"a={ATTACK}"],
        "a command": [ATTACK],
        "a folder": ["run", "hi", "-m", str(home / f"no{SHORT}")],
        "a file": ["trace", "view", str(home / f"no{SHORT}")],
        "a version": ["run", "hi", "-m", str(home / "version")],
        "a template": ["run", "hi", "-m", str(home / "template")],
        "a traceback": ["--debug", "run", "hi", "-m", str(home / "template")],
    }


@pytest.fixture(scope="module")
def typescript(hostile: Path) -> dict[str, str]:
    """What each command sent to a terminal that was its stdin, stdout and stderr."""
    lines = commands(hostile)
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30", "HF_HUB_OFFLINE": "1"}
    environment |= {"HF_HUB_CACHE": str(hostile / "cache"), "HF_HOME": str(hostile / "hub")}
    words = [sys.executable, "-c", SCRIPT, json.dumps(list(lines.values()))]
    process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, env=environment, cwd=ROOT)
    os.close(slave)
    os.write(master, b"hi\n/nope\n/set\n/quit\n")
    sent = bytearray()
    while chunk := _read(master):
        sent += chunk
    os.close(master)
    assert process.wait() == 0
    text = sent.decode("utf-8")
    parts = re.split(r"<<(\d+)>>", text)
    shown: dict[str, str] = dict.fromkeys(lines, "")
    for number, part in zip(parts[1::2], parts[2::2], strict=True):
        shown[list(lines)[int(number)]] += part
    return shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # the last process that held it is gone
        return b""


UNTOUCHED = {"doctor", "eval", "run, bundled", "run, bundled, quiet"}  # nothing of a stranger is in what they say here


@pytest.mark.parametrize("name", commands(Path()))
def test_no_text_of_a_stranger_has_an_effect_on_a_terminal(typescript: dict[str, str], name: str) -> None:
    shown = typescript[name]
    assert CONTROL.findall(OURS.sub("", shown.replace("\r\n", "\n"))) == []
    assert "\x1b]" not in shown
    assert "Traceback" not in shown or name == "a traceback"
    assert name in UNTOUCHED or "PWNED" in shown.replace("\n", ""), shown


def test_a_model_of_the_package_is_introduced_once(typescript: dict[str, str]) -> None:
    shown = typescript["run, bundled"]
    assert shown.count("a very small model") == 1 and "“Sort 5380217.”" in shown and "remask examples" in shown
    assert "very small" not in typescript["run, bundled, quiet"] + typescript["run, watched"]


def test_elsewhere_text_passes_as_it_is(hostile: Path) -> None:
    words = [sys.executable, "-m", "remask", *commands(hostile)["run, streamed"]]
    done = subprocess.run(words, capture_output=True, check=True, cwd=ROOT)
    assert b"\x1b]0;PWNED\x07" in done.stdout


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain\n\ttext, naïve, 中文", "plain\n\ttext, naïve, 中文"),
        ("👩\u200d💻 می\u200cخواهم", "👩\u200d💻 می\u200cخواهم"),
        ("\x1b[2J\x07\r", "␛[2J␇␍"),
        ("\x9b2J\u202eabc", "⟨U+009B⟩2J⟨U+202E⟩abc"),
    ],
)
def test_what_is_visible(text: str, seen: str) -> None:
    assert visible(text) == seen
