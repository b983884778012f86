"""From a matrix file to a matrix with its plugins, or to every problem of the file at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import InputError
from bench.matrix.model import CROSS, Matrix, cross_problems
from bench.matrix.problems import Problems
from bench.matrix.resolve import Resolver, validate
from bench.matrix.resolved import ResolvedMatrix
from bench.matrix.yaml_lines import parse_yaml


def load_matrix(path: str | Path) -> ResolvedMatrix:
    """Read and check a matrix file, and find its plugins.

    Raises:
        InputError: there is no such file, or something in it is wrong; all problems, each with its line.
    """
    path = Path(path)
    document = parse_yaml(_read(path), path.name)
    problems = Problems(path.name, document)
    data = document.data
    if data is None and not problems.found:
        raise InputError(f"{path.name}:1: expected a mapping with the keys {_required()}, got an empty file")
    if not isinstance(data, dict):
        kind = "a list" if isinstance(data, list) else f"{data!r}"
        raise InputError([*problems.messages(), f"{path.name}:1: expected a mapping at the top, got {kind}"])
    matrix = _matrix(data, problems)
    resolved = Resolver(path.absolute(), data, problems).resolve(matrix)
    if problems.found or resolved is None:
        raise InputError(problems.messages())
    return resolved


def _required() -> str:
    return ", ".join(name for name, f in Matrix.model_fields.items() if f.is_required() or name == "dataset")


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"expected a matrix file, but there is no file {path}") from error
    except IsADirectoryError as error:
        raise InputError(f"expected a matrix file, but {path} is a folder") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        byte = error.object[error.start]
        raise InputError(
            f"{path.name}:{line}: expected UTF-8, got the byte 0x{byte:02x}: save the file as UTF-8"
        ) from error
    except OSError as error:
        raise InputError(f"expected a readable matrix file, but {path} cannot be read: {error}") from error


def _matrix(data: dict[str, Any], problems: Problems) -> Matrix | None:
    for keys, message in cross_problems(data):
        problems.add(next(((key,) for key in keys if key in data), ()), message)
    try:
        return validate(Matrix, data)
    except ValidationError as error:
        if any(item["type"] != CROSS for item in error.errors()):  # else it is what was just reported
            problems.add_validation(error, (), [Matrix], "the matrix")
        return None
