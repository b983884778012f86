"""Whether a board's settings are those of the matrix that it shows, which is parsed without looking up any plugin."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from bench.errors import InputError
from bench.matrix.model import Matrix
from bench.matrix.resolve import validate
from bench.matrix.yaml_lines import parse_yaml
from bench.verify.facts import BoardFacts
from bench.verify.report import Report
from bench.verify.same import differences

LONGEST = 256 * 1024
"""Characters of a matrix; ours have a few thousand."""

MOST = 1000
"""Seeds or set sizes of a matrix: more take long to check."""

COMPARED = ("samples", "quality", "sets", "resamples", "precision", "seeds")
"""Settings that the matrix gives, itself or by default; the device may be chosen on the command line."""


def check_settings(facts: BoardFacts, report: Report) -> None:
    """Settings beside the matrix, seeds of trials beside the settings, and fingerprints of the data."""
    matrix = _matrix(facts.matrix, report)
    if matrix is not None:
        asked = matrix.model_dump(mode="json")
        shown: dict[str, Any] = facts.settings.model_dump(mode="json")
        if facts.name != matrix.name:
            report.problem(f"name: expected {matrix.name!r} as the matrix says, got {facts.name!r}")
        for name in COMPARED:
            if name not in shown:
                report.problem(f"settings.{name}: expected {asked[name]!r} as the matrix says, it is missing")
            elif found := list(differences(shown[name], asked[name], f"settings.{name}")):
                report.problem(*(f"{line} from the matrix" for line in found[:5]))
    for trial in facts.trials:
        if trial.seed not in facts.settings.seeds:
            place = f"{trial.dataset} / {trial.target} / {trial.defense} / {trial.seed}"
            report.problem(f"trials: {place}: expected a seed of the settings, {trial.seed} is none of them")
    for dataset in dict.fromkeys(t.dataset for t in facts.trials if t.key or t.status == "completed"):
        if dataset in facts.datasets and not facts.datasets[dataset].fingerprint:
            report.problem(f"datasets: {dataset}: expected the fingerprint of the records of its trials, found none")


def _matrix(text: str, report: Report) -> Matrix | None:
    if len(text) > LONGEST:
        report.problem(f"matrix: expected at most {LONGEST} characters, got {len(text)}")
        return None
    try:
        document = parse_yaml(text.removeprefix("\ufeff"), "matrix")
        data = document.data
        if document.problems:
            raise InputError([f"matrix:{line}: {message}" for line, message in document.problems[:5]])
        if not isinstance(data, dict):
            raise InputError(f"matrix:1: expected a mapping, got {type(data).__name__}")
        for name in ("seeds", "sets"):
            if isinstance(given := data.get(name), list) and len(given) > MOST:
                raise InputError(f"matrix: expected at most {MOST} {name}, got {len(given)}")
        return validate(Matrix, data)
    except InputError as error:
        report.problem(*(f"{line}: the matrix of the board cannot be read" for line in error.problems))
    except ValidationError as error:
        found = [f"matrix: {'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors()]
        report.problem(*(f"{line}: the matrix of the board cannot be read" for line in found[:5]))
    return None
