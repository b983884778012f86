"""Canaries: audit records that no sample of the data would be, so that a training that learns them is easier to catch.

Jagielski, Ullman and Oprea, Auditing Differentially Private Machine Learning, NeurIPS 2020, and Nasr et al., Tight
Auditing of Differentially Private Machine Learning, USENIX Security 2023, audit with records of their own making, since
what a model would generate or accept anyway tells little of whether it was trained on. A bound on such records is a
bound on the training: differential privacy promises the same to every record. What they say of *ordinary* records is
nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.records import Records
from bench.rng import RecordRng

Canaries = Literal["none", "mislabelled", "blank"]

GREY = 128  # 0 on the scale of -1 to 1 that models compute with
MARKED = 8  # one in so many pixels is black or white: 98 of a digit's 784


def planted(records: Records, pool: NDArray[np.int64], canaries: Canaries, seed: int) -> Records:
    """The records, with those of the pool turned into canaries: each by a draw of its own, whoever else is there.

    Args:
        records: the whole data set.
        pool: ids of the audit records, members and non-members alike.
        canaries: ``none``; ``mislabelled``: each keeps its content and gets the label of another class, all of which
            are as likely; ``blank``: each becomes a flat mid-grey image of which one in eight pixels, at places of its
            own, is black or white (in all channels), so that no two are alike.
        seed: of the split.

    Raises:
        InputError: records without classes have no other label, tables no blank picture, or images are too small for
            so many that differ.
    """
    if canaries == "none":
        return records
    place = np.flatnonzero(np.isin(records.ids, pool))
    rng = RecordRng(seed, "canary")
    if canaries == "mislabelled":
        return _mislabelled(records, place, rng)
    return _blank(records, place, rng)


def caveat(canaries: Canaries, target: str, conditional: bool) -> str:
    """What a reader of a row must know of its members, as a sentence; "" of ordinary records."""
    if canaries == "none":
        return ""
    made = "are blank canaries" if canaries == "blank" else "carry the label of another class"
    said = f"Members and non-members {made}: the attacks' figures are theirs, and not those of ordinary records."
    if canaries == "mislabelled" and not conditional:
        said += f" {target} is told no labels, so to it they are ordinary records all the same."
    return said


def _mislabelled(records: Records, place: NDArray[np.int64], rng: RecordRng) -> Records:
    classes = records.schema.classes
    if classes is None or classes < 2 or records.labels is None:
        raise InputError(
            "canaries: mislabelled gives each audit record the label of another class, which needs records with labels "
            f"of 2 classes or more, got {'records without classes' if classes is None else f'{classes} class'}; use "
            "`blank`, or none"
        )
    labels = records.labels.copy()
    steps = 1 + np.floor(rng.uniform(records.ids[place]) * (classes - 1)).astype(np.int64)
    labels[place] = (labels[place] + steps) % classes
    return replace(records, labels=labels)


def _blank(records: Records, place: NDArray[np.int64], rng: RecordRng) -> Records:
    if records.schema.kind != "image":
        raise InputError(
            f"canaries: blank draws marks on an empty picture, and a {records.schema.kind} has none; use `mislabelled` "
            "where there are classes, or none"
        )
    channels, height, width = records.schema.shape
    marked = height * width // MARKED
    x = records.x.copy()
    for index in place:
        own = rng.record(int(records.ids[index]))
        picture = np.full(height * width, GREY, np.uint8)
        where = own.choice(height * width, marked, replace=False)
        picture[where] = np.where(own.random(marked) < 0.5, 0, 255)
        x[index] = np.broadcast_to(picture.reshape(1, height, width), (channels, height, width))
    if len(alike := np.unique(x[place].reshape(len(place), -1), axis=0)) < len(place):
        raise InputError(
            f"canaries: expected images with room for {len(place)} blank canaries that differ, but of {height}x{width} "
            f"pixels only {len(alike)} do; use larger images or fewer audit records"
        )
    return replace(records, x=x)
