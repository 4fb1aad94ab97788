"""Where a checkpoint is: inside the package, in a folder, or on the Hugging Face hub and in its cache."""

import hashlib
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ..errors import CheckpointError, did_you_mean, printable
from .adapter import CONFIG as ADAPTER
from .adapter import is_adapter, stated_base
from .foreign import FILES

BUNDLED = Path(__file__).parents[1] / "bundled" / "default"
SHIPPED = {
    "bundled": BUNDLED,
    "bundled-blockwise": BUNDLED.with_name("blockwise"),
    "bundled-haystack": BUNDLED.with_name("haystack"),
}
FORMS = "give 'bundled', a folder that holds config.json, a *.gguf file, or org/name[@revision] on the Hugging Face hub"
WANTED = (
    "config.json",
    "generation_config.json",
    ADAPTER,
    *FILES,  # to be refused by name
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "*.safetensors",
    "*.safetensors.index.json",
    "README.md",
    "LICENSE*",
)
REPOSITORY = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<revision>\w[\w./+-]*))?", re.ASCII)

SHA256 = re.compile("[0-9a-f]{64}")  # names of large files in the cache; small ones have git's sha1

log = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where a model is: its folder or GGUF file, and the folder of the PEFT adapter that changes it, if one does."""

    folder: Path
    adapter: Path | None = None


class Cached(NamedTuple):
    """One revision of a repository in the hub's cache; `name` is what `locate` finds it by."""

    name: str
    folder: Path
    size: int  # bytes


def find(name: str, adapter: str | None = None, *, offline: bool = False, weights: bool = True) -> Place:
    """The checkpoint `name` and its adapter, looked for as `locate` does.

    An adapter beside a model's weights changes these. One alone names its base, a folder or a repository of the hub,
    which is then looked for, too: give the base as `name` and the adapter as `adapter` to take another.
    """
    folder = locate(name, offline=offline, weights=weights)
    own = is_adapter(folder)
    if adapter is not None:
        if own:
            raise CheckpointError(f"{folder} holds an adapter itself; give the model as the model, and one adapter")
        changes = locate(adapter, offline=offline)
        if not is_adapter(changes):
            raise CheckpointError(
                f"no {ADAPTER} in {changes}: an adapter is a folder that peft's save_pretrained wrote"
            )
        return Place(folder, changes)
    if not own or (folder / "config.json").exists():
        return Place(folder, folder if own else None)
    base, other = stated_base(folder), "give the base as the model, and this folder as its adapter"
    if base is None:
        raise CheckpointError(f"{folder} holds an adapter that does not say of which model; {other}")
    try:
        under = locate(base, offline=offline, weights=weights)
    except CheckpointError as error:
        raise CheckpointError(
            f"{folder} is an adapter of {_short(base)}, which cannot be had: {error}; {other}"
        ) from None
    if is_adapter(under):
        raise CheckpointError(f"{folder} is an adapter of {_short(base)}, which holds an adapter itself; {other}")
    log.info("%s is an adapter of %s, which is loaded with it", folder, base)
    return Place(under, folder)


def locate(name: str, *, offline: bool = False, weights: bool = True) -> Path:
    """The folder of the checkpoint `name`, downloaded if it must be; `offline` (or HF_HUB_OFFLINE=1) uses the cache.

    It may be an adapter's (see `find`). A folder of that name comes before a repository; `bundled` and its like
    (SHIPPED) are the package's own (`./bundled` a folder). Without `weights`, none are downloaded. Raises
    CheckpointError if there is none, and says what was looked for.
    """
    if name in SHIPPED:
        _checked(SHIPPED[name], f"the model {name!r} is missing from this installation; reinstall remask, or " + FORMS)
        return (SHIPPED[name] / "config.json").resolve().parent  # installers may link each file of a package
    path = os.path.expanduser(name)
    if name and os.path.isdir(path):
        return _checked(Path(path), "a checkpoint folder holds config.json, tokenizer.json and *.safetensors")
    if path.endswith(".gguf") and os.path.isfile(path):
        return Path(path)
    if name and os.path.exists(path):
        raise CheckpointError(f"{name!r} is a file; give the folder that holds it")
    if (found := REPOSITORY.fullmatch(name)) and not _odd(name):
        return _download(found["repo"], found["revision"], offline, weights)
    if _like_a_path(name):
        raise CheckpointError(f"there is no folder {_short(name)}; {FORMS}")
    raise CheckpointError(f"{_short(name)} names no model; {FORMS}{_near(name)}")


def cached() -> Iterator[Cached]:
    """Every revision of every model in the hub's cache, whatever it is; nothing if there is no cache."""
    try:
        from huggingface_hub import constants, scan_cache_dir

        repositories = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except Exception as error:  # noqa: BLE001  # no hub, no cache, or one that cannot be read: an empty list
        log.debug("the hub's cache cannot be read: %s", error)
        return
    for repository in sorted(repositories, key=lambda repository: repository.repo_id):
        if repository.repo_type != "model":
            continue
        for revision in sorted(repository.revisions, key=lambda revision: revision.commit_hash):
            for name in sorted(revision.refs) or [revision.commit_hash]:
                suffix = "" if name == "main" else f"@{name}"
                yield Cached(repository.repo_id + suffix, revision.snapshot_path, revision.size_on_disk)


@dataclass(frozen=True)
class Removal:
    """A deletion from the hub's cache that has not happened yet; `size` is what it frees in bytes."""

    cache: str
    size: int
    execute: Callable[[], None]


def removal(name: str) -> Removal:
    """What deleting the cached model `name` would free: one revision of it, or all if none is named.

    Raises CheckpointError if there is none; folders and the bundled model are not the hub's, and stay.
    """
    found = REPOSITORY.fullmatch(name)
    if not found or os.path.isdir(os.path.expanduser(name)):
        raise CheckpointError(
            f"{_short(name)} is no model of the hub's cache; only those are deleted: org/name[@revision]"
        )
    try:
        from huggingface_hub import constants, scan_cache_dir

        cache = scan_cache_dir(constants.HF_HUB_CACHE)
        repositories = [r for r in cache.repos if r.repo_type == "model" and r.repo_id == found["repo"]]
    except Exception as error:
        raise CheckpointError(
            f"the hub's cache cannot be read ({printable(f'{type(error).__name__}: {error}')})"
        ) from error
    wanted = found["revision"]
    commits = [
        revision.commit_hash
        for repository in repositories
        for revision in repository.revisions
        if wanted is None or wanted == revision.commit_hash or wanted in revision.refs
    ]
    if not commits:
        raise CheckpointError(
            f"{name!r} is not in the cache {constants.HF_HUB_CACHE}; `remask models list` shows what is"
        )
    strategy = cache.delete_revisions(*commits)
    return Removal(str(constants.HF_HUB_CACHE), strategy.expected_freed_size, strategy.execute)


def _checked(folder: Path, remedy: str) -> Path:
    if not (folder / "config.json").exists() and not is_adapter(folder):
        raise CheckpointError(f"no config.json in {str(folder)!r}: {remedy}")
    return folder


def _odd(name: str) -> bool:
    """Names that the hub forbids, or that would leave the cache's folders."""
    return ".." in name or "--" in name.split("@")[0] or "//" in name or name.endswith((".git", "/", ".lock"))


def _like_a_path(name: str) -> bool:
    return name.startswith((".", "~")) or name.count("/") > 1 or "\\" in name or name[:1] == "/" or name[-1:] == "/"


def _short(name: str) -> str:
    return repr(name if len(name) <= 200 else name[:200] + "…")


def _near(name: str) -> str:
    """The model of the package or of the cache whose name is nearest, if one is near."""
    return did_you_mean(name, [*SHIPPED, *(model.name for model in cached())])


def _download(repo: str, revision: str | None, offline: bool, weights: bool) -> Path:
    """The snapshot of a repository, its missing files fetched; the hub's client resumes what was interrupted."""
    from huggingface_hub import constants, snapshot_download

    name = repo if revision is None else f"{repo}@{revision}"
    blobs = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}" / "blobs"
    here = {blob.name for blob in blobs.iterdir()} if blobs.is_dir() else set[str]()
    offline = offline or bool(constants.HF_HUB_OFFLINE)
    try:
        offline = offline or not _reachable(repo, revision)
        folder = snapshot_download(
            repo,
            revision=revision,
            local_files_only=offline,
            allow_patterns=[name for name in WANTED if weights or not name.endswith(".safetensors")],
            ignore_patterns=["*/*"],
        )
    except Exception as error:
        raise CheckpointError(_explain(error, name, repo, offline)) from error
    _verify(Path(folder), name, here)
    return _checked(Path(folder), f"{name} is no checkpoint of a model, or only part of it is in the cache")


def _verify(folder: Path, name: str, here: Collection[str]) -> None:
    """Hash each large file that was not `here` before; the cache calls it by the sha256 that the hub states.

    Raises CheckpointError for one that is another, and removes it.
    """
    for path in sorted(folder.iterdir()):
        blob = path.resolve()
        if blob.name in here or not SHA256.fullmatch(blob.name) or not blob.is_file():
            continue
        with blob.open("rb") as file:
            came = hashlib.file_digest(file, "sha256").hexdigest()
        if came != blob.name:
            path.unlink()
            blob.unlink(missing_ok=True)
            raise CheckpointError(
                f"{path.name} of {name} came damaged: its sha256 is {came}, but the hub states {blob.name}; it is "
                "removed, download it again"
            )


def _reachable(repo: str, revision: str | None) -> bool:
    """Ask the hub for the repository. False if it does not answer, or cannot now; what it refuses is raised."""
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(repo, revision=revision, timeout=10.0)
    except Exception as error:  # the client's transport errors have no common base over its versions
        status = getattr(getattr(error, "response", None), "status_code", None)
        if status is not None and 400 <= status < 500 and status not in (408, 429):
            raise
        log.warning("the hub does not answer (%s); looking for %s in the cache", status or type(error).__name__, repo)
        return False
    return True


def _explain(error: Exception, name: str, repo: str, offline: bool) -> str:
    """One line on why there is no folder, with the remedy."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    page = f"{constants.ENDPOINT}/{repo}"
    if isinstance(error, GatedRepoError):
        return f"{repo} is gated: accept its terms on {page}, then set HF_TOKEN to a token of that account"
    if isinstance(error, RevisionNotFoundError):
        return f"{repo} has no revision {name.partition('@')[2]!r}; {page}/tree/main lists its branches and tags"
    if isinstance(error, RepositoryNotFoundError):
        missing = f"{repo!r} is neither a folder here nor a model on the hub (a private one needs HF_TOKEN)"
        return f"{missing}; {FORMS}{_near(name)}"
    if offline:
        return (
            f"{name!r} is no folder here and not (wholly) in the cache {constants.HF_HUB_CACHE}, and the hub is off or "
            "does not answer; go online once to download it (unset HF_HUB_OFFLINE), or give a folder" + _near(name)
        )
    reason = printable(" ".join(f"{type(error).__name__}: {error}".split()), 300)
    return f"downloading {name} failed ({reason}); run it again, what has come is kept"
