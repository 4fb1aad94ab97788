"""Tiny checkpoints, ways to break them, and a hub on this machine. For tests only."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from remask.checkpoint import save
from remask.models.config import ModelConfig
from remask.models.contract import Group, Packed, Predictor
from remask.models.transformer import Transformer
from remask.text.tokenizer import Text

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OTHER = "f" * 40
TOKENS = 320


def network(text: Text, **changes: Any) -> Transformer:
    """Two layers of random float32 weights that fit the tokenizer."""
    fields: dict[str, Any] = {
        "family": "llada", "vocab_size": TOKENS, "d_model": 32, "n_layers": 2, "n_heads": 4, "n_kv_heads": 4,
        "head_dim": 8, "d_ff": 48, "max_positions": 64, "mask_id": text.mask_id, "eos_ids": (text.eos_id,),
        "pad_id": text.eos_id,
    }  # fmt: skip
    model = Transformer(ModelConfig(**(fields | changes)))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.5, generator=generator)
    return model


def write(folder: Path, text: Text, model: Transformer, dtype: torch.dtype = torch.float32) -> Path:
    """The checkpoint of `model` in `folder`."""
    save(folder, model, text, dtype=dtype, sampler={"steps": 16, "gen_length": 16})
    return folder


def logits(predictor: Predictor, length: int = 12) -> Tensor:
    """Logits of a fixed row at every position."""
    tokens = (torch.arange(length) * 37 + 5) % TOKENS
    rows = torch.arange(length)
    return predictor.logits(predictor.hidden(Packed(tokens, rows, [Group(0, 1, length)], rows)))


def edit(folder: Path, name: str, drop: tuple[str, ...] = (), **changes: Any) -> None:
    """Change fields of a JSON file, or drop some."""
    path = folder / name
    fields = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({key: value for key, value in (fields | changes).items() if key not in drop}))


def change(folder: Path, how: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the tensors of model.safetensors."""
    tensors = load_file(folder / "model.safetensors")
    how(tensors)
    save_file(tensors, folder / "model.safetensors")


def scatter(folder: Path, shards: int = 3, *, index: bool = True) -> dict[str, str]:
    """Split model.safetensors so that tensors of one layer lie apart; returns which file each is in."""
    tensors = load_file(folder / "model.safetensors")
    places = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(sorted(tensors))}
    for file in set(places.values()):
        save_file({name: tensors[name] for name in tensors if places[name] == file}, folder / file)
    (folder / "model.safetensors").unlink()
    if index:
        total = sum(tensor.nbytes for tensor in tensors.values())
        edit(folder, "model.safetensors.index.json", metadata={"total_size": total}, weight_map=places)
    return places


def fingerprint(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file under the folder: when it was written and what it holds."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.stat().st_size < 1 << 26
    }


def into_cache(home: Path, repo: str, folder: Path, refs: Mapping[str, str]) -> Path:
    """Lay `folder` out as the hub's client does: blobs, links to them by commit, refs to commits."""
    root = home / "hub" / f"models--{repo.replace('/', '--')}"
    for commit in set(refs.values()):
        snapshot = root / "snapshots" / commit
        snapshot.mkdir(parents=True)
        (root / "blobs").mkdir(exist_ok=True)
        for path in folder.iterdir():
            blob = root / "blobs" / hashlib.sha256(path.read_bytes()).hexdigest()
            shutil.copy(path, blob)
            (snapshot / path.name).symlink_to(os.path.relpath(blob, snapshot))
    for ref, commit in refs.items():
        (root / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (root / "refs" / ref).write_text(commit)
    return root


def python(code: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter does whose hub cache is under `home`."""
    clean = {key: value for key, value in os.environ.items() if not key.upper().startswith(("HF_", "TRANSFORMERS_"))}
    own = {
        "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1", "PYTHONPATH": str(Path(__file__).parents[2]),
    }  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=clean | own | environment,
    )


@dataclass
class Hub:
    """A hub with repositories on this machine. `refused` maps names to the code of the error that they answer with."""

    folders: dict[str, Path]
    refused: dict[str, str] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)  # files that are stored apart, and what is sent for them
    url: str = ""
    served: list[str] = field(default_factory=list)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Answer for `hub` until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Answer, hub))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


class _Answer(BaseHTTPRequestHandler):
    """As much of the hub's interface as its client needs to find a repository, list it and fetch its files."""

    def __init__(self, hub: Hub, *args: Any) -> None:
        self.hub = hub
        super().__init__(*args)

    def do_HEAD(self) -> None:
        self.do_GET(body=False)

    def do_GET(self, body: bool = True) -> None:
        parts = [part for part in self.path.partition("?")[0].split("/") if part]
        api = parts[:2] == ["api", "models"]
        parts = parts[2:] if api else parts
        repo, rest = "/".join(parts[:2]), parts[2:]
        self.hub.served.append(f"{self.command} {self.path}")
        code = self.hub.refused.get(repo, "" if repo in self.hub.folders else "RepoNotFound")
        if code == "GatedRepo" and api:
            code = ""  # everybody sees that it is there
        if rest and rest[0] in ("revision", "tree", "resolve") and rest[1] not in ("main", COMMIT):
            code = code or "RevisionNotFound"
        if code:
            self.answer({"error": code}, 401 if code in ("RepoNotFound", "GatedRepo") else 404, body, code=code)
        elif api:
            self.answer(self.listing(repo) if "tree" in rest else self.about(repo), 200, body)
        else:
            data, name = (self.files(repo)["/".join(rest[2:])]).read_bytes(), rest[-1]
            oid = hashlib.sha256(data).hexdigest() if name in self.hub.large else ""
            self.answer(self.hub.large.get(name, data), 200, body, oid=oid)

    def files(self, repo: str) -> dict[str, Path]:
        folder = self.hub.folders.get(repo)
        return {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()} if folder else {}

    def about(self, repo: str) -> dict[str, Any]:
        return {"id": repo, "modelId": repo, "sha": COMMIT, "siblings": [{"rfilename": n} for n in self.files(repo)]}

    def listing(self, repo: str) -> list[dict[str, Any]]:
        return [
            {
                "type": "file",
                "path": name,
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            for name, path in self.files(repo).items()
        ]

    def answer(self, content: Any, status: int, body: bool, code: str = "", oid: str = "") -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        if oid:
            self.send_header("X-Linked-ETag", f'"{oid}"')
            self.send_header("X-Linked-Size", str(len(data)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass
