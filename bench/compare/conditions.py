"""Why figures of two boards must not be compared: what they were measured with and on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bench.compare.side import Entry, Place, Side
from bench.compare.sources import source_difference, unknown_sources
from bench.errors import InputError
from bench.stamp import PACKAGES

LIBRARY = "leakboard"

_SETTINGS = {
    "samples": "number of generated samples",
    "resamples": "number of bootstrap resamples",
    "device": "device",
    "precision": "arithmetic",
}


def versions(side: Side) -> dict[str, str | None]:
    """Version of the suite and of each package that can change a number; None where the stamp does not say."""
    stamp = side.payload["stamp"]
    packages = stamp.get("packages") or {}
    return {LIBRARY: stamp.get(LIBRARY), **{name: packages.get(name) for name in PACKAGES}}


def version_differences(base: Side, new: Side) -> list[str]:
    """What of the versions differs or is not known, a phrase each."""
    ours, theirs = versions(base), versions(new)
    return [
        f"{name} {ours[name] or 'not in the stamp'} in BASE, {theirs[name] or 'not in the stamp'} in NEW"
        for name in ours
        # A package that neither environment has (None, in a stamp that knows of packages) did not differ.
        if ours[name] != theirs[name] or (ours[name] is None and not _lists_packages(base, new))
    ]


def _lists_packages(base: Side, new: Side) -> bool:
    return all(isinstance(side.payload["stamp"].get("packages"), Mapping) for side in (base, new))


def board_reasons(base: Side, new: Side, across_versions: bool) -> list[str]:
    """Reasons that hold for every row."""
    found = [] if across_versions else [*version_differences(base, new), *unknown_sources(base, new)]
    return found + [
        f"{words} {base.setting(name)} in BASE, {new.setting(name)} in NEW"
        for name, words in _SETTINGS.items()
        if base.setting(name) != new.setting(name)
    ]


def row_reasons(base: Side, new: Side, at: Place, now: Place, across_versions: bool = False) -> list[str]:
    """Reasons that hold for every figure of one row: its data, its target, its controls."""
    found = []
    ours, theirs = (side.payload["datasets"].get(where.dataset, {}) for side, where in ((base, at), (new, now)))
    unknown = [side.name for side, entry in ((base, ours), (new, theirs)) if not entry.get("fingerprint")]
    if unknown:
        found.append(f"{' and '.join(unknown)} without a fingerprint of the records of {now.dataset}")
    elif ours["fingerprint"] != theirs["fingerprint"]:
        found.append(f"the records of {now.dataset} are others (their fingerprints differ)")
    else:
        found += _split_differences(base, new, ours.get("splits", {}), theirs.get("splits", {}))
    decided = [side.rows[where].get("membership") for side, where in ((base, at), (new, now))]
    if decided[0] != decided[1]:
        found.append(f"membership {decided[0]} in BASE, {decided[1]} in NEW")
    specs = [side.setting("configurations", "targets", where.target) for side, where in ((base, at), (new, now))]
    if specs[0] != specs[1]:
        found.append(f"the target {now.target} is configured otherwise: {spec_difference(*specs)}")
    if not across_versions and (said := source_difference(base, new, "targets", at.target, now.target)):
        found.append(said)
    return found + [fault for side, where in ((base, at), (new, now)) for fault in _faults(side, where)]


def _split_differences(base: Side, new: Side, ours: Entry, theirs: Entry) -> list[str]:
    if not ours or not theirs:
        silent = [side.name for side, entry in ((base, ours), (new, theirs)) if not entry]
        return [f"{' and '.join(silent)} does not say how the records were split"]
    return [
        f"the {split} are other records in NEW than in BASE"
        for split in dict.fromkeys([*ours, *theirs])
        if split not in ours
        or split not in theirs
        or ours[split].get("records") != theirs[split].get("records")
        or _ids(base, ours[split]) != _ids(new, theirs[split])
    ]


def _ids(side: Side, entry: Entry) -> list[int]:
    """The record ids of a split in ascending order: the files of equal splits may be packed otherwise.

    Raises:
        InputError: the file holds no ``indices`` of integers ``(n,)``.
        MissingError: there is no such file.
    """
    indices = side.published.arrays(entry["file"]).get("indices")
    if indices is None or indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise InputError(f"{side.name}, {entry['file']}: expected the array indices, integers of shape (n,)")
    found: list[int] = np.sort(indices).tolist()
    return found


def _faults(side: Side, at: Place) -> Iterator[str]:
    """What controls read that they must not, for this row; a fault that names no row is of all."""
    labels = [f"{place}: " for place in side.rows]
    for fault in side.payload["faults"]:
        if fault.startswith(f"{at}: ") or not any(fault.startswith(label) for label in labels):
            yield f"a control failed in {side.name}, so the instrument is at fault: {fault.removeprefix(f'{at}: ')}"


def spec_difference(ours: Any, theirs: Any) -> str:
    """The options in which two lists of specifications differ, in words."""
    if not (isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs)):
        return f"{_short(ours)} in BASE, {_short(theirs)} in NEW"
    parts = []
    for a, b in zip(ours, theirs, strict=True):
        for name in dict.fromkeys([*a, *b]):
            if a.get(name) != b.get(name):
                parts.append(f"{name} {_short(a.get(name))} in BASE, {_short(b.get(name))} in NEW")
    return "; ".join(parts)


def _short(value: Any) -> str:
    return "not given" if value is None else json.dumps(value, ensure_ascii=False)
