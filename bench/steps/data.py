"""The ``data`` step: stores a loaded and split data set, so that workers need none of the user's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.split import ALWAYS, ROLES, Split
from bench.plan.graph import PlannedData
from bench.records import Records, Schema
from bench.store import Artifact, Store, write_arrays, write_json


def store_data(planned: PlannedData, store: Store) -> None:
    """Write the data set's artifact if it is not there; done by the planning process, which has the records."""
    if store.find("data", planned.step.key) is None:
        with store.write("data", planned.step.key) as folder:
            _write(folder, planned.split)


def _write(folder: Path, split: Split) -> None:
    records = split.records
    roles = (*ROLES, ALWAYS) if ALWAYS in split.ids else ROLES
    arrays = {"ids": records.ids, "x": records.x, **{f"role_{role}": split.ids[role] for role in roles}}
    if records.labels is not None:
        arrays["labels"] = records.labels
    write_arrays(folder / "records.npz", arrays)
    write_json(
        folder / "split.json",
        {
            "schema": records.schema.to_json(),
            "membership": split.membership,
            "expected_members": split.expected_members,
            **({"canaries": split.canaries} if split.canaries != "none" else {}),
        },
    )


def load_split(artifact: Artifact) -> Split:
    """The split as it was stored."""
    arrays, facts = artifact.arrays("records.npz"), artifact.json("split.json")
    labels = arrays.get("labels")
    records = Records(
        arrays["ids"],
        arrays["x"],
        None if labels is None else labels.astype(np.int64),
        Schema.from_json(facts["schema"]),
    )
    ids = {role: arrays[name] for role in (*ROLES, ALWAYS) if (name := f"role_{role}") in arrays}
    return Split(records, ids, facts["membership"], facts["expected_members"], facts.get("canaries", "none"))
