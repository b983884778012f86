"""The store: an artifact exists whole and verified, or it does not exist."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.errors import StoreError
from bench.rng import generator
from bench.store import COST, MANIFEST, Artifact, Store, size_of, write_arrays, write_json

KEY = "ab" * 32


def put(store: Store, content: str = "hello", cost: float = 1.0) -> Artifact:
    with store.write("train", KEY) as folder:
        (folder / "a.txt").write_text(content, "utf-8")
        write_arrays(folder / "x.npz", {"x": np.arange(4)})
        write_json(folder / COST, {"wall_s": cost})
    found = store.find("train", KEY)
    assert found is not None
    return found


def test_what_was_written_is_read(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.find("train", KEY) is None
    found = put(store)
    assert found.path("a.txt").read_text("utf-8") == "hello"
    assert found.arrays("x.npz")["x"].tolist() == [0, 1, 2, 3]
    assert found.cost() == {"wall_s": 1.0}
    assert store.damaged(found) == []
    assert list(store.entries()) == [("train", KEY)]
    assert size_of(found.folder) == sum(p.stat().st_size for p in found.folder.iterdir())


def test_nothing_appears_while_writing_or_after_an_error(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(RuntimeError, match="half way"), store.write("train", KEY) as folder:  # noqa: PT012
        (folder / "a.txt").write_text("half", "utf-8")
        assert store.find("train", KEY) is None
        assert list(store.entries()) == []
        assert store.leftovers() == [folder]
        raise RuntimeError("half way")
    assert store.find("train", KEY) is None
    assert store.leftovers() == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda f: (f / MANIFEST).unlink(),
        lambda f: (f / MANIFEST).write_text("{", "utf-8"),
        lambda f: (f / MANIFEST).write_text("[]", "utf-8"),
        lambda f: (f / MANIFEST).write_text("{}", "utf-8"),
        lambda f: (f / MANIFEST).write_text(json.dumps({"key": KEY, "files": {"a.txt": {"size": 5}}}), "utf-8"),
        lambda f: (f / MANIFEST).write_text(json.dumps({"key": "other", "files": {}}), "utf-8"),
        lambda f: os.truncate(f / "a.txt", 3),
        lambda f: os.truncate(f / "x.npz", 0),
        lambda f: (f / "a.txt").unlink(),
    ],
    ids=["no manifest", "broken", "list", "empty", "no hash", "other key", "truncated", "emptied", "file gone"],
)
def test_a_damaged_artifact_does_not_exist_and_is_written_anew(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    store = Store(tmp_path)
    damage(put(store).folder)
    assert store.find("train", KEY) is None
    assert put(store, "again").path("a.txt").read_text("utf-8") == "again"
    assert store.leftovers() == []


def test_tampering_that_keeps_the_size_is_detected_on_reading(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found = put(store)
    (found.folder / "a.txt").write_text("hellO", "utf-8")
    again = store.find("train", KEY)
    assert again is not None
    assert store.damaged(again) == ["a.txt"]
    with pytest.raises(StoreError, match="expected the content that was written"):
        again.path("a.txt")
    assert again.arrays("x.npz")["x"].shape == (4,)


def test_a_file_that_the_manifest_does_not_name_is_not_part_of_it(tmp_path: Path) -> None:
    found = put(Store(tmp_path))
    (found.folder / "b.txt").write_text("smuggled", "utf-8")
    with pytest.raises(StoreError, match=r"expected a file b.txt in the artifact, it holds \['a.txt', 'x.npz'\]"):
        found.path("b.txt")


def test_equal_content_has_one_digest_whatever_its_key(tmp_path: Path) -> None:
    store = Store(tmp_path)
    found = []
    for key in ("a" * 64, "b" * 64):
        with store.write("sample", key) as folder:
            write_json(folder / "result.json", {"same": True})
        found.append(store.find("sample", key))
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].digest == found[1].digest


def test_the_cost_is_no_part_of_the_digest(tmp_path: Path) -> None:
    cheap, dear = put(Store(tmp_path / "a"), cost=1.0), put(Store(tmp_path / "b"), cost=99.0)
    assert cheap.digest == dear.digest
    assert COST not in cheap.files
    assert put(Store(tmp_path / "c"), "other").digest != cheap.digest
    (cheap.folder / COST).unlink()
    assert Store(tmp_path / "a").find("train", KEY) is not None
    assert cheap.cost() is None


def test_a_killed_writer_leaves_no_artifact(tmp_path: Path) -> None:
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom bench.store import Store\n"
        f"with Store(Path(sys.argv[1])).write('train', {KEY!r}) as folder:\n"
        "    (folder / 'a.txt').write_text('half')\n    print('writing', flush=True)\n    time.sleep(600)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "writing\n"
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    store = Store(tmp_path)
    assert store.find("train", KEY) is None
    assert len(store.leftovers()) == 1
    assert put(store, "whole").path("a.txt").read_text("utf-8") == "whole"


def test_two_writers_give_one_artifact(tmp_path: Path) -> None:
    store, gate, errors = Store(tmp_path), threading.Barrier(4), []

    def write(number: int) -> None:
        try:
            with store.write("train", KEY) as folder:
                (folder / "a.txt").write_text("same", "utf-8")
                write_json(folder / COST, {"wall_s": number})
                gate.wait()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = store.find("train", KEY)
    assert found is not None
    assert found.path("a.txt").read_text("utf-8") == "same"
    assert store.leftovers() == []


class LateStore(Store):
    """Looks before the other writer has renamed its folder, and renames after it."""

    looked = False

    def find(self, kind: str, key: str) -> Artifact | None:
        if not self.looked:
            self.looked = True
            return None
        return super().find(kind, key)


def test_losing_the_race_keeps_what_is_there(tmp_path: Path) -> None:
    first = put(Store(tmp_path), "same", cost=1.0)
    inode = first.folder.stat().st_ino
    put(LateStore(tmp_path), "same", cost=2.0)
    assert first.folder.stat().st_ino == inode
    assert first.cost() == {"wall_s": 1.0}


def test_a_lock_lets_one_in_at_a_time(tmp_path: Path) -> None:
    store, order = Store(tmp_path), []

    def hold() -> None:
        with store.lock("train", KEY):
            order.append("other")

    with store.lock("train", KEY):
        thread = threading.Thread(target=hold)
        thread.start()
        time.sleep(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    assert list(store.entries()) == []


def test_failures_are_remembered_until_cleared(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.failures() == {}
    store.note_failure("train", KEY, "out of memory")
    assert store.failures() == {f"train-{KEY}": "out of memory"}
    assert list(store.entries()) == []
    store.clear_failure("train", KEY)
    assert store.failures() == {}


def test_equal_arrays_are_equal_bytes_whatever_the_order_and_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = generator(0, "test").normal(size=(50, 3)), np.array(["a", "bc"])
    write_arrays(tmp_path / "one.npz", {"x": x, "loss/y": y})
    monkeypatch.setattr(time, "time", lambda: 2e9)
    write_arrays(tmp_path / "two.npz", {"loss/y": y.copy(), "x": x.copy()})
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    with np.load(tmp_path / "one.npz", allow_pickle=False) as archive:
        assert sorted(archive.files) == ["loss/y", "x"]
        assert np.array_equal(archive["x"], x)


def test_python_objects_are_not_stored(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected plain numbers or text in 'x', got object objects"):
        write_arrays(tmp_path / "a.npz", {"x": np.array([{}])})
    assert not (tmp_path / "a.npz").exists()
