"""LOGAN's attackers at work: their own model trained as they ask for it, on samples that lie around the members."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from bench.attacks.base import Attack, Knowledge, ModelRequest, Source, TrialSpec
from bench.candidates import known_mask, model_records
from bench.devices import Device
from bench.metrics.roc import auc
from bench.records import Records, Schema, to_float, to_stored
from bench.registry import get
from bench.release import Model, Release, View
from bench.rng import RecordRng, generator
from targets.base import Target
from targets.training import TrainingRequest, train

SCHEMA = Schema("image", (1, 8, 8), 3)
MEMBERS, NONMEMBERS, REFERENCE, COPIES = 20, 80, 60, 8
EVERYONE = MEMBERS + NONMEMBERS + REFERENCE


@cache
def everyone() -> Records:
    rng = generator(0, "noise images")
    x = rng.integers(0, 256, (EVERYONE, *SCHEMA.shape), dtype=np.uint8)
    return Records(np.arange(EVERYONE, dtype=np.int64), x, rng.integers(0, 3, EVERYONE), SCHEMA)


CANDIDATES = np.arange(MEMBERS + NONMEMBERS)
MEMBERSHIP: NDArray[np.bool_] = CANDIDATES % 5 == 0


def samples(leaks: bool = True) -> Records:
    """Noisy copies of the members; or of as many reference records, from which nothing can be learnt of candidates."""
    chosen = np.flatnonzero(MEMBERSHIP) if leaks else np.arange(EVERYONE - MEMBERS, EVERYONE)
    x = np.repeat(to_float(everyone().x[chosen], SCHEMA), COPIES, axis=0)
    x = x + 0.1 * generator(0, "sample noise").normal(size=x.shape).astype(np.float32)
    unlabelled = replace(SCHEMA, classes=None)
    return Records(np.arange(len(x), dtype=np.int64), to_stored(x, SCHEMA), None, unlabelled)


def trial() -> TrialSpec:
    sizes = {"members": MEMBERS, "nonmembers": NONMEMBERS, "reference": REFERENCE}
    return TrialSpec(SCHEMA, MEMBERS, sizes, {"name": "dcgan"}, (), 4, MEMBERS * COPIES)


def request_of(attack: Attack) -> ModelRequest:
    (request,) = attack.needs(trial())
    return request


def records_of(attack: Attack, leaks: bool = True) -> Records:
    """What its model trains on."""
    request = request_of(attack)
    sources: dict[Source, Records] = {
        "samples": samples(leaks),
        "reference": everyone().take(np.arange(MEMBERS + NONMEMBERS, EVERYONE)),
    }
    asked = {**asdict(request), "known": [request.known.members, request.known.nonmembers]}
    return model_records(asked, lambda source: sources[source], everyone().take(CANDIDATES), MEMBERSHIP)


def read(attack: Attack, leaks: bool = True) -> float:
    """The AUC of an attack whose model was trained; of the candidates that it is not told."""
    request, records = request_of(attack), records_of(attack, leaks)
    target = get("targets", str(request.target["name"])).from_spec(request.target)
    assert isinstance(target, Target)
    trained = train(TrainingRequest(target, (), records, len(records), records, 0, Device()))
    assert trained.status == "completed"
    release = Release(target, trained.networks, records.schema, Device())
    models = {request.name: Model(SCHEMA, Device(), lambda: release)}
    judged = np.flatnonzero(~known_mask(CANDIDATES, MEMBERSHIP, attack.known))
    view, rng = View(attack.access, SCHEMA, Device()), RecordRng(0, "attack", attack.name)
    found = attack.score(everyone().take(judged), view, Knowledge(models=models), rng)
    return auc(found.scores, MEMBERSHIP[judged])
