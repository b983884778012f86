"""The content-addressed store: an artifact exists whole and verified, or it does not exist.

``<root>/<kind>/<key>/`` is written as a temporary folder, synced and renamed. Its manifest holds the sha256 of each
file; ``cost.json`` lies beside them, outside of the manifest, because what a step cost is not part of its result.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.canonical import canonical_json, sha256_file, sha256_json
from bench.errors import StoreError

MANIFEST = "manifest.json"
COST = "cost.json"
FAILURE = "failed"  # folder of reasons why steps failed; not artifacts


@dataclass(frozen=True)
class Artifact:
    """A stored result; every read checks the file against the manifest.

    Attributes:
        folder: where it lies.
        files: file name -> sha256.
        digest: one hash over the content of all files; equal content has equal digests, whatever its key.
    """

    folder: Path
    files: Mapping[str, str]
    digest: str

    def path(self, name: str) -> Path:
        """The verified path of one file.

        Raises:
            StoreError: there is no such file, or it is not what was written.
        """
        path = self.folder / name
        if name not in self.files:
            raise StoreError(f"{self.folder}: expected a file {name} in the artifact, it holds {sorted(self.files)}")
        if not path.is_file() or sha256_file(path) != self.files[name]:
            raise StoreError(
                f"{path}: expected the content that was written, found another; `bench store gc` removes it"
            )
        return path

    def json(self, name: str) -> Any:
        return json.loads(self.path(name).read_text("utf-8"))

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The arrays of an npz file, never unpickling."""
        with np.load(self.path(name), allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}

    def cost(self) -> dict[str, Any] | None:
        """What the step cost, or None where that was not kept."""
        path = self.folder / COST
        return json.loads(path.read_text("utf-8")) if path.is_file() else None


class Store:
    """Artifacts by kind and key under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, kind: str, key: str) -> Path:
        return self.root / kind / key

    def find(self, kind: str, key: str) -> Artifact | None:
        """The artifact, or None: what has no valid manifest does not exist."""
        folder = os.path.join(self.root, kind, key)  # not a Path: planning asks this for every step of a large matrix
        try:
            with open(os.path.join(folder, MANIFEST), encoding="utf-8") as file:
                text = file.read()
            manifest = json.loads(text)
            files = {str(name): str(entry["sha256"]) for name, entry in manifest["files"].items()}
            sizes = {name: entry["size"] for name, entry in manifest["files"].items()}
            sizes_fit = all(os.stat(os.path.join(folder, name)).st_size == size for name, size in sizes.items())
            if not sizes_fit or manifest["key"] != key:
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return Artifact(Path(folder), files, sha256_json(files))

    def damaged(self, artifact: Artifact) -> list[str]:
        """Files of an artifact that are not what was written."""
        return [
            name
            for name, sha in artifact.files.items()
            if not (artifact.folder / name).is_file() or sha256_file(artifact.folder / name) != sha
        ]

    @contextmanager
    def write(self, kind: str, key: str) -> Iterator[Path]:
        """A folder to fill; on leaving without an error it becomes the artifact, at once and whole."""
        place = self.folder(kind, key)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.parent / f".tmp-{key[:16]}-{os.getpid()}-{os.urandom(4).hex()}"
        temporary.mkdir()
        try:
            yield temporary
            self._seal(temporary, key)
            if self.find(kind, key) is None:
                self._place(temporary, kind, key)
                _sync(place.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _place(self, temporary: Path, kind: str, key: str) -> None:
        """Rename a sealed folder to its place; another process may have put the same artifact there meanwhile."""
        place = self.folder(kind, key)
        try:
            os.rename(temporary, place)
        except OSError:
            if self.find(kind, key) is None:  # left by something else than this store: never mix with it
                shutil.rmtree(place)
                os.rename(temporary, place)

    def _seal(self, folder: Path, key: str) -> None:
        files = {}
        for path in sorted(folder.iterdir()):
            _sync(path)
            if path.name != COST:
                files[path.name] = {"sha256": sha256_file(path), "size": path.stat().st_size}
        manifest = folder / MANIFEST
        manifest.write_text(canonical_json({"key": key, "files": files}), "utf-8")
        _sync(manifest)
        _sync(folder)

    @contextmanager
    def lock(self, kind: str, key: str) -> Iterator[None]:
        """Keeps two processes from doing one step twice; correctness does not rest on it."""
        from filelock import FileLock

        folder = self.root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{kind}-{key}.lock"):
            yield

    def remove(self, kind: str, key: str) -> None:
        """Forget an artifact."""
        shutil.rmtree(self.folder(kind, key), ignore_errors=True)

    def note_failure(self, kind: str, key: str, reason: str) -> None:
        """Remember why a step failed, for the board; a later success clears it."""
        folder = self.root / FAILURE
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".tmp-{os.getpid()}-{os.urandom(4).hex()}"
        temporary.write_text(canonical_json({"kind": kind, "reason": reason}), "utf-8")
        os.replace(temporary, folder / f"{kind}-{key}.json")

    def clear_failure(self, kind: str, key: str) -> None:
        (self.root / FAILURE / f"{kind}-{key}.json").unlink(missing_ok=True)

    def failures(self) -> dict[str, str]:
        """``kind-key`` of every step that failed when it was last tried -> why."""
        return {
            path.stem: str(json.loads(path.read_text("utf-8"))["reason"])
            for path in sorted((self.root / FAILURE).glob("[!.]*.json"))
        }

    def costs(self) -> Iterator[dict[str, Any]]:
        """What every stored step cost, without a look at what it made."""
        for kind, key in self.entries():
            try:
                with open(os.path.join(self.root, kind, key, COST), encoding="utf-8") as file:
                    yield json.load(file)
            except FileNotFoundError:
                continue

    def entries(self) -> Iterator[tuple[str, str]]:
        """(kind, key) of everything that looks like an artifact."""
        for kind in sorted(self.root.iterdir()) if self.root.is_dir() else ():
            if kind.is_dir() and kind.name not in (FAILURE, "locks"):
                for folder in sorted(kind.iterdir()):
                    if folder.is_dir() and not folder.name.startswith(".tmp-"):
                        yield kind.name, folder.name

    def leftovers(self) -> list[Path]:
        """Temporary folders of processes that were killed."""
        return sorted(self.root.glob("*/.tmp-*"))


def in_use(leftover: Path) -> bool:
    """Whether the process of this machine that is filling a temporary folder is still there."""
    import psutil

    parts = leftover.name.split("-")
    return len(parts) > 2 and parts[-2].isdigit() and psutil.pid_exists(int(parts[-2]))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def write_json(path: Path, value: Any) -> None:
    """Canonical JSON, so that equal values are equal bytes."""
    path.write_text(canonical_json(value), "utf-8")


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """An npz without pickle; equal arrays are equal bytes.

    Raises:
        ValueError: an array holds Python objects.
    """
    for name, array in arrays.items():  # numpy 2.0 and 2.1 store savez's own `allow_pickle` as an array
        if array.dtype.hasobject:
            raise ValueError(f"{path.name}: expected plain numbers or text in {name!r}, got {array.dtype} objects")
    ordered: dict[str, Any] = {name: arrays[name] for name in sorted(arrays)}
    np.savez_compressed(path, **ordered)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
