"""What every plugin has: presets, labels, and files whose content counts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from bench.errors import InputError, PluginError
from bench.identity import content_fingerprint
from bench.matrix import load_matrix
from bench.plan.build import build_plan
from bench.plugin import Plugin, PluginOptions
from bench.registry import get


class Model(Plugin):
    """A plugin with a preset and a file."""

    name = "model"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"big": {"width": 64, "steps": 1000}}
    files = ("path",)

    class Options(PluginOptions):
        width: int = 8
        """Width."""
        steps: int = 10
        """Steps."""
        rate: float = 0.1
        """Rate."""
        path: str = "weights.bin"
        """File."""


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, "model"),
        ({"width": 64}, "model(width=64)"),
        ({"width": 64, "steps": 1000}, "model(preset=big)"),
        ({"width": 64, "steps": 1000, "rate": 0.5}, "model(preset=big,rate=0.5)"),
        ({"width": 64, "steps": 7}, "model(width=64,steps=7)"),
        ({"width": 32, "steps": 1000}, "model(width=32,steps=1000)"),
    ],
)
def test_a_label_names_the_preset_where_that_is_shorter(options: dict[str, Any], label: str) -> None:
    assert Model(**options).label() == label


def test_labels_tell_all_options_apart() -> None:
    settings = [{"width": w, "steps": s, "rate": r} for w in (8, 32, 64) for s in (10, 7, 1000) for r in (0.1, 0.5)]
    assert len({Model(**s).label() for s in settings}) == len(settings)


def test_a_file_is_found_from_the_folder_of_the_matrix(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"x")
    located = Model().at(tmp_path)
    assert located.path("path") == tmp_path / "weights.bin"
    assert located == Model(), "where a file lies is not identity"
    assert located.spec() == Model().spec()
    with pytest.raises(InputError, match="model: expected a file or folder as 'path', but there is no"):
        Model().at(tmp_path / "elsewhere").path("path")


def test_content_is_what_a_fingerprint_covers(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "deep" / "one").write_bytes(b"1")
        (tmp_path / folder / "two").write_bytes(b"2")
    first = content_fingerprint(tmp_path / "a")
    assert first == content_fingerprint(tmp_path / "b")
    (tmp_path / "b" / "two").rename(tmp_path / "b" / "three")
    assert first != content_fingerprint(tmp_path / "b")
    (tmp_path / "a" / "two").write_bytes(b"3")
    assert first != content_fingerprint(tmp_path / "a")


PLUGIN = """
from targets.dcgan import DCGAN

class Loads(DCGAN):
    \"\"\"A DCGAN with a file.\"\"\"

    name = "loads"
    files = ("path",)
    presets = {"small": {"width": 4}}

    class Options(DCGAN.Options):
        path: str = "weights.bin"
        \"\"\"File.\"\"\"
"""

MATRIX = """
name: m
dataset: {{name: digits, members: 40, nonmembers: 80, reference: 120, validation: 40, holdout: 120}}
targets: [{target}]
defenses: [none]
attacks: [nearest_sample]
samples: 200
quality: {{records: 100}}
"""


def plan_of(folder: Path, target: str) -> Any:
    (folder / "loads.py").write_text(PLUGIN, "utf-8")
    (folder / "m.yaml").write_text(MATRIX.format(target=target), "utf-8")
    resolved = load_matrix(folder / "m.yaml")
    return resolved, build_plan(resolved)


def test_a_files_content_is_in_the_key_and_its_place_is_not(tmp_path: Path) -> None:
    def keys(folder: str, content: bytes) -> set[str]:
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "weights.bin").write_bytes(content)
        _, plan = plan_of(tmp_path / folder, "'./loads.py:Loads'")
        return {step.key for step in plan.steps if step.kind == "train"}

    first = keys("a", b"1")
    assert first == keys("b", b"1")
    assert not first & keys("a", b"2")


def test_a_matrix_names_a_preset_and_options_beside_it_win(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(b"1")
    resolved, _ = plan_of(tmp_path, "{name: './loads.py:Loads', preset: small, latent: 7}")
    assert (resolved.targets[0].options.width, resolved.targets[0].options.latent) == (4, 7)
    resolved, _ = plan_of(tmp_path, "{name: './loads.py:Loads', preset: small, width: 5}")
    assert resolved.targets[0].options.width == 5
    with pytest.raises(InputError, match=r"expected a preset of target 'loads' \(small\), got 'smal'; did you mean 's"):
        plan_of(tmp_path, "{name: './loads.py:Loads', preset: smal}")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            'presets = {"small": {"wdith": 4}}',
            r"preset 'small' of Loads .* to set options that it has, got \['wdith'\]",
        ),
        ('files = ("pth",)', r"expected `files` of Loads .* to name its options, got \['pth'\]"),
    ],
)
def test_what_a_plugin_declares_must_be_there(tmp_path: Path, changed: str, message: str) -> None:
    name = changed.split(" ")[0]
    lines = [f"    {changed}" if line.strip().startswith(f"{name} =") else line for line in PLUGIN.splitlines()]
    (tmp_path / "loads.py").write_text("\n".join(lines), "utf-8")
    with pytest.raises(PluginError, match=message):
        get("targets", "./loads.py:Loads", tmp_path)
