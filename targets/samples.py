"""Records that a model of any kind generated anywhere: what may be said of a release from its samples alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import InputError
from bench.records import Records, Schema
from targets.base import BroughtOptions, Networks, Phase, Target

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

SHOWN = 3  # problems of single files that a message names


class Samples(Target):
    """Samples that you bring: generated records in a file or folder; no networks, so only attacks on samples apply.

    The file stands for the model: its members must be the data set's ``members``, and its ``nonmembers`` records of
    the same source that it never saw. Give more samples than ``samples`` of the matrix asks for, and a part is drawn
    per seed; give fewer, and all are used.
    """

    name = "samples"
    data = frozenset({"image", "table"})
    roles = ()
    private_roles = ()
    brought = True
    files = ("path",)

    class Options(BroughtOptions):
        path: str
        """An npz (`images` uint8 (n, height, width[, channels]), or `rows`), a folder of images, or a table's CSV."""

    options: Options

    def untrained(self) -> None:
        return None

    def phases(self) -> tuple[Phase, ...]:
        return ()

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        return {}

    def stored(self, schema: Schema) -> Records:
        """All records of the file, as the data set's are stored: tables in their encoding.

        Raises:
            InputError: there are none, or they do not look like the data set's records.
        """
        from bench.data.base import read_npz

        path = self.path("path")
        try:
            if path.is_dir():
                return _from_folder(path, schema)
            if path.suffix == ".csv":
                return _from_csv(path, schema)
            if path.suffix == ".npz":
                arrays = read_npz(path)
                return _from_rows(path, arrays, schema) if schema.kind == "table" else _from_images(path, schema)
            raise InputError(
                f"{path}: expected a folder of images, an .npz or a .csv, got {path.suffix or 'no suffix'}"
            )
        except InputError as error:
            raise InputError([f"{self.name}: {problem}" for problem in error.problems]) from error


def _records(x: NDArray[Any], labels: NDArray[np.int64] | None, schema: Schema) -> Records:
    """The records; without the data set's classes where no label is known."""
    from dataclasses import replace

    known = labels is not None and schema.classes is not None
    like = schema if known else replace(schema, classes=None, class_shares=())
    return Records(np.arange(len(x), dtype=np.int64), x, labels if known else None, like)


def _from_images(path: Path, schema: Schema) -> Records:
    from bench.data.base import records_from_npz

    found = records_from_npz(path)
    if found.schema.shape != schema.shape:
        raise InputError(f"{path}: {_other_size(found.schema.shape, schema)}")
    return _records(found.x, found.labels, schema)


def _from_folder(path: Path, schema: Schema) -> Records:
    from bench.data.files import any_colour, find_images, read_image

    if schema.kind != "image":
        raise InputError(f"{path}: expected an .npz or a .csv with {schema} records, got a folder")
    if not (names := find_images(path)):
        raise InputError(f"{path}: expected image files in this folder, found none")
    files = [path / name for name in names]
    colour = schema.shape[0] == 3
    if not colour and any_colour(files):
        raise InputError(f"{path}: expected grey images like the records, got colour; convert them, or the records")
    x = np.empty((len(files), *schema.shape), np.uint8)
    problems = []
    for i, file in enumerate(files):
        try:
            image = read_image(file, colour)
            if image.shape == schema.shape:
                x[i] = image
            else:
                problems.append(f"{file}: {_other_size(image.shape, schema)}")
        except InputError as error:
            problems += [f"{file}: {problem}" for problem in error.problems]
    if problems:
        more = [f"{path}: {len(problems) - SHOWN} more files are like that"] if len(problems) > SHOWN else []
        raise InputError(problems[:SHOWN] + more)
    return _records(x, None, schema)


def _other_size(shape: tuple[int, ...], schema: Schema) -> str:
    return (
        f"expected samples like the records, {schema}, got {'x'.join(map(str, shape))} (channels x height x width); "
        "`resize` and `grey` of the data set bring the records to the size that the model generates"
    )


def _from_rows(path: Path, arrays: dict[str, NDArray[Any]], schema: Schema) -> Records:
    """``rows`` in the units of the data set's columns, categories as codes; or values, where it has no columns."""
    rows = arrays.get("rows")
    width = len(schema.columns) or schema.shape[0]
    if rows is None or rows.ndim != 2 or rows.shape[1] != width or not len(rows) or rows.dtype.kind not in "fiu":
        got = f"arrays {sorted(arrays)}" if rows is None else f"{rows.dtype} {rows.shape}"
        named = f" ({', '.join(column.name for column in schema.columns)})" if schema.columns else ""
        raise InputError(f"{path}: expected an array `rows` of numbers (n, {width}){named}, got {got}")
    return _encoded(rows, schema)


def _from_csv(path: Path, schema: Schema) -> Records:
    from bench.data.csv_table import read_csv

    if schema.kind != "table":
        raise InputError(f"{path}: expected an .npz or a folder with {schema} records, got a table")
    if not schema.columns:
        raise InputError(
            f"{path}: the records have no named columns, so a .csv cannot be matched to them; give an .npz"
        )
    table, problems, values = read_csv(path), [], []
    if missing := [column.name for column in schema.columns if column.name not in table.names]:
        raise InputError(f"{path}: expected a column for each of the records' columns, got none for {missing}")
    for column in schema.columns:
        cells = table.cells[column.name]
        if column.categories:
            place = {category: code for code, category in enumerate(column.categories)}
            if strange := sorted(set(cells) - set(place)):
                problems.append(
                    f"{path}: column {column.name!r}: expected one of {list(column.categories)}, got {strange[:SHOWN]}"
                )
            values.append(np.array([place.get(cell, 0) for cell in cells], dtype=np.float32))
            continue
        try:
            numbers = table.numbers(column.name)
            if numbers is None:
                raise InputError(f"{path}: column {column.name!r}: expected numbers, got {cells[0]!r}")
            values.append(numbers)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return _encoded(np.stack(values, axis=1), schema)


def _encoded(rows: NDArray[Any], schema: Schema) -> Records:
    from bench.data.tables import encode

    raw = _records(rows.astype(np.float32), None, Schema("table", (rows.shape[1],)))
    return encode(raw, schema.columns) if schema.columns else raw
