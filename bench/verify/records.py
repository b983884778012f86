"""Whether scores and splits speak of the same records: each candidate once, none left out, on its right side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.board.payload import score_file
from bench.board.set_readings import Composer
from bench.errors import BenchError
from bench.published.read import Published
from bench.results import Cell
from bench.verify.report import Report

Splits = Mapping[str, NDArray[np.int64]]

RECORDS = {"record_id": np.int64, "membership": np.bool_, "score": np.float64}
"""Arrays ``(n,)`` that every file of scores has."""


def read_ids(published: Published, file: str, expected: int, report: Report) -> NDArray[np.int64] | None:
    """The record ids of one role, or None with a problem."""
    try:
        arrays = published.arrays(file)
    except BenchError as error:
        report.problem(str(error).replace(f"{published.folder}/", ""))
        return None
    ids = arrays.get("indices")
    if set(arrays) != {"indices"} or ids is None or ids.dtype != np.int64 or ids.ndim != 1:
        report.problem(f"{file}: expected one array `indices` of int64, got {_shapes(arrays)}")
        return None
    if len(ids) != expected:
        report.problem(f"{file}: expected {expected} records as leaderboard.json says, got {len(ids)}")
    if len(twice := _twice(ids)):
        report.problem(f"{file}: expected each record once, {len(twice)} are there twice (id {twice[0]} first)")
    return ids


def check_splits(splits: Mapping[str, Splits], report: Report) -> None:
    """No record has two roles."""
    for dataset, roles in splits.items():
        names = list(roles)
        for index, first in enumerate(names):
            for second in names[index + 1 :]:
                if len(shared := np.intersect1d(roles[first], roles[second])):
                    report.problem(
                        f"splits of {dataset}: expected disjoint roles, {first} and {second} share {len(shared)} "
                        f"records (id {shared[0]} first)"
                    )


def check_scores(
    cell: Cell, arrays: Mapping[str, NDArray[Any]], roles: Splits, composer: Composer, report: Report
) -> bool:
    """Whether the arrays of one file of scores are sound; says what is wrong with them."""
    before, file = len(report.problems), score_file(cell)
    _check_arrays(cell, arrays, composer.sizes, file, report)
    if len(report.problems) == before:
        _check_candidates(cell, arrays["record_id"], arrays["membership"], roles, file, report)
    if len(report.problems) == before:
        _check_sets(cell, arrays, composer, file, report)
    report.checked["scores"] += len(arrays.get("score", ()))
    return len(report.problems) == before


def _check_arrays(
    cell: Cell, arrays: Mapping[str, NDArray[Any]], sizes: Sequence[int], file: str, report: Report
) -> None:
    n = len(arrays["record_id"]) if "record_id" in arrays and arrays["record_id"].ndim == 1 else 0
    wanted: dict[str, Any] = dict(RECORDS)
    if cell.at_step is None:
        wanted |= {set_array(index, size): np.int64 for index, size in enumerate(sizes)}
    parts = {"part": np.int64, "named_part": np.int64}
    wanted |= parts if set(parts) & set(arrays) else {}
    own = {f"set_score_{size}" for size in sizes}
    if set(arrays) - own != set(wanted):
        report.problem(f"{file}: expected the arrays {', '.join(sorted(wanted))}, got {', '.join(sorted(arrays))}")
        return
    for name, dtype in wanted.items():
        if arrays[name].dtype != dtype or arrays[name].shape != (n,):
            report.problem(
                f"{file}: {name}: expected {np.dtype(dtype)} of shape ({n},), got {arrays[name].dtype} of shape "
                f"{arrays[name].shape}"
            )


def _check_candidates(
    cell: Cell, ids: NDArray[np.int64], member: NDArray[np.bool_], roles: Splits, file: str, report: Report
) -> None:
    if len(twice := _twice(ids)):
        report.problem(f"{file}: expected each record once, {len(twice)} are judged twice (id {twice[0]} first)")
        return
    if (np.diff(ids) <= 0).any():
        report.problem(f"{file}: expected records by ascending id, got another order")
    if not {"members", "nonmembers"} <= set(roles):
        report.problem(f"{file}: expected the members and non-members of {cell.dataset} among the splits, found none")
        return
    candidates = np.union1d(roles["members"], roles["nonmembers"])
    if len(strange := np.setdiff1d(ids, candidates)):
        report.problem(f"{file}: expected candidates of the split only, {len(strange)} are not (id {strange[0]} first)")
    wrong = ids[(np.isin(ids, roles["members"]) != member) & np.isin(ids, candidates)]
    if len(wrong):
        report.problem(
            f"{file}: expected the membership of the split, {len(wrong)} records have another (id {wrong[0]} first)"
        )
    missing = len(np.setdiff1d(candidates, ids)) - cell.known
    # A capped attack judges some of the candidates; any other judges all but those that it is told the truth of.
    if missing < 0 or (missing > 0 and not cell.capped):
        report.problem(
            f"{file}: expected {len(candidates) - cell.known} records (all candidates but {cell.known} that the attack "
            f"knows), got {len(ids)}: {'records are missing' if missing > 0 else 'it judges records that it knows'}"
        )


def _check_sets(cell: Cell, arrays: Mapping[str, NDArray[Any]], composer: Composer, file: str, report: Report) -> None:
    judged = replace(cell, record_ids=arrays["record_id"], membership=arrays["membership"])
    for index, size in enumerate(composer.sizes):
        composed = composer.set_id(judged, size)
        if cell.at_step is None and not np.array_equal(arrays[set_array(index, size)], composed):
            report.problem(f"{file}: expected the sets of {size} that the instrument composes, got others")
        own = arrays.get(f"set_score_{size}")
        sets = int(composed.max(initial=-1)) + 1
        if own is not None and (own.dtype != np.float64 or own.shape != (sets,)):
            report.problem(
                f"{file}: set_score_{size}: expected float64 of shape ({sets},), got {own.dtype} of shape {own.shape}"
            )


def set_array(index: int, size: int) -> str:
    """Name of the set ids of the matrix's size number ``index``."""
    return f"set_id_{size}" if index else "set_id"


def _twice(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    values, counts = np.unique(ids, return_counts=True)
    return values[counts > 1]


def _shapes(arrays: Mapping[str, NDArray[Any]]) -> str:
    return ", ".join(f"{name} {array.dtype}{array.shape}" for name, array in arrays.items()) or "nothing"
