"""A registry of small fake plugins, and a way to load a matrix from a text."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from matrix_cases import HEADER, PLUGINS, Fail, Load

from bench import registry
from bench.errors import InputError
from bench.matrix import ResolvedMatrix, load_matrix


@pytest.fixture(scope="session")
def plugin_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("plugins")
    for name, body in PLUGINS.items():
        file = root / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(HEADER + dedent(body), "utf-8")
    return root


@pytest.fixture(autouse=True)
def fake_registry(plugin_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(plugin_root)
    monkeypatch.setattr(registry, "ROOT", plugin_root)
    monkeypatch.setattr(registry, "PACKAGES", {kind: f"fake_{kind}" for kind in registry.KINDS})


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str) -> ResolvedMatrix:
        file = tmp_path / "matrix.yaml"
        file.write_text(text, "utf-8")
        return load_matrix(file)

    return load


@pytest.fixture
def fail(load: Load) -> Fail:
    """The problems of a matrix that must not load."""

    def fail(text: str) -> list[str]:
        with pytest.raises(InputError) as caught:
            load(text)
        return list(caught.value.problems)

    return fail
