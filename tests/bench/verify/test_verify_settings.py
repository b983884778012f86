"""Settings, the matrix that they should come from, and seeds and fingerprints of trials."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from published_boards import MATRIX, planted

from bench.board.payload import payload
from bench.board.rows import build
from bench.verify.check import TAKEN
from bench.verify.facts import read_facts
from bench.verify.report import Report
from bench.verify.settings import LONGEST, check_settings
from bench.verify.structure import check_structure


@pytest.fixture(scope="module")
def honest() -> dict[str, Any]:
    return payload(build(planted()))


def found(content: dict[str, Any], **changed: Any) -> list[str]:
    report = Report()
    check_settings(read_facts({**content, **changed}), report)
    return report.problems


def test_settings_of_the_matrix_and_its_defaults(honest: dict[str, Any]) -> None:
    assert found(honest) == []
    assert found(honest, matrix="\ufeff" + MATRIX) == []
    assert found(honest, settings={**honest["settings"], "device": "cuda"}) == []  # --device


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("samples", 50_000, "settings.samples: stored 50000, recomputed 10000 from the matrix"),
        ("seeds", [0, 1, 2], "settings.seeds: stored 3 entries, recomputed 2 from the matrix"),
        ("resamples", 1000, "settings.resamples: stored 1000, recomputed 40 from the matrix"),
        ("sets", [5, 10], r"settings.sets\[0\]: stored 5, recomputed 10 from the matrix"),
        ("precision", "bf16", "settings.precision: stored 'bf16', recomputed 'float32' from the matrix"),
        ("quality", {"records": 9}, "settings.quality.extractor: expected 'efficientnet_lite0-96', it is missing"),
    ],
)
def test_settings_that_the_matrix_does_not_give(honest: dict[str, Any], name: str, value: Any, match: str) -> None:
    problems = found(honest, settings={**honest["settings"], name: value})
    assert any(re.match(match, each) for each in problems), problems
    assert all(each.startswith(f"settings.{name}") for each in problems)


def test_settings_that_are_gone(honest: dict[str, Any]) -> None:
    less = {name: value for name, value in honest["settings"].items() if name != "samples"}
    assert found(honest, settings=less) == ["settings.samples: expected 10000 as the matrix says, it is missing"]


@pytest.mark.parametrize(
    ("matrix", "match"),
    [
        ("name: other\n", "matrix: .*targets.*: Field required: the matrix of the board cannot be read"),
        (MATRIX.replace("planted", "other"), "name: expected 'other' as the matrix says, got 'planted'"),
        (MATRIX.replace("[10, 5]", "7"), "settings.sets: stored 2 entries, recomputed 1"),
        ("- a\n", "matrix:1: expected a mapping, got list: the matrix of the board cannot be read"),
        ("", "matrix:1: expected a mapping, got NoneType"),
        ("a: [", "matrix:.*not valid YAML.*: the matrix of the board cannot be read"),
        (MATRIX + "samples: !!python/object/apply:os.system [ls]\n", "matrix:9: tags are not supported"),
        (MATRIX + "name: again\n", "matrix:9: expected each key once"),
        ("#" * (LONGEST + 1), f"matrix: expected at most {LONGEST} characters, got {LONGEST + 1}"),
        (MATRIX.replace("[0, 1]", f"[{'0, ' * 1001}0]"), "matrix: expected at most 1000 seeds, got 1002"),
    ],
    ids=["other", "name", "sets", "list", "empty", "no YAML", "tag", "twice", "long", "seeds"],
)
def test_another_matrix(honest: dict[str, Any], matrix: str, match: str) -> None:
    problems = found(honest, matrix=matrix)
    assert any(re.match(match, each) for each in problems), problems


def test_seeds_of_trials_and_fingerprints(honest: dict[str, Any]) -> None:
    settings = {**honest["settings"], "seeds": [0]}
    assert "trials: digits / dcgan / none / 1: expected a seed of the settings, 1 is none of them" in found(
        honest, settings=settings, matrix=MATRIX.replace("[0, 1]", "[0]")
    )
    for gone in (None, ""):
        datasets = {"digits": {**honest["datasets"]["digits"], "fingerprint": gone}}
        assert found(honest, datasets=datasets) == [
            "datasets: digits: expected the fingerprint of the records of its trials, found none"
        ]


@pytest.mark.parametrize("sources", [None, {"targets": {"dcgan": "ab" * 32}, "defenses": {"none": ["cd" * 32]}}])
def test_stamps_with_and_without_sources(honest: dict[str, Any], sources: Any) -> None:
    report = Report()
    more = {} if sources is None else {"sources": sources}
    check_structure(read_facts({**honest, "stamp": {**honest["stamp"], **more}}), report)
    assert report.problems == []


def test_what_cannot_be_checked_is_named() -> None:
    for name in ("stamp", "the matrix", "samples", "device", "precision", "configurations"):
        assert name in TAKEN
    text = " ".join((Path(__file__).parents[3] / "docs" / "verify.md").read_text("utf-8").split())
    for name in ("the stamp", "the matrix itself", "`samples`", "`device`", "`precision`"):
        assert name in text
