"""A view grants what the declared access says, and raises on everything beyond."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch

from bench.contracts import Planted
from bench.devices import Device
from bench.errors import AccessError, IncompatibleError
from bench.records import Schema, to_float
from bench.release import CHUNK, GRANTS, Access, Release, View
from bench.rng import torch_generator
from targets.base import Draw
from targets.dcgan import DCGAN

PLANTED = Planted(members=10, nonmembers=10, reference=20)
X = PLANTED.candidates.floats()
Z = torch.zeros(3, 32)
T = torch.zeros(len(X), dtype=torch.int64)

# What a view offers -> the access levels that grant it, written out rather than read from the code.
OFFERS: dict[str, tuple[Callable[[View], object], set[str]]] = {
    "samples": (lambda v: v.samples, {"samples", "latent", "decision", "white_box", "updates"}),
    "conditional": (lambda v: v.conditional, {"latent", "white_box"}),
    "latent": (lambda v: v.latent(2, Draw(Device(), 0, "test")), {"latent", "white_box"}),
    "decode": (lambda v: v.decode(Z), {"latent", "white_box"}),
    "decision": (lambda v: v.decision(X), {"decision", "white_box"}),
    "logits": (lambda v: v.logits(X), {"white_box"}),
    "posterior": (lambda v: v.posterior(X), {"white_box"}),
    "predict_noise": (lambda v: v.predict_noise(torch.from_numpy(X), T), {"white_box"}),
    "alpha_bar": (lambda v: v.alpha_bar(), {"white_box"}),
    "release": (lambda v: v.release, {"white_box"}),
    "networks": (lambda v: v.networks, {"white_box"}),
    "updates": (lambda v: v.updates, {"updates"}),
    "opened": (lambda v: v.opened({}), {"updates"}),
}


@pytest.mark.parametrize("offer", OFFERS)
@pytest.mark.parametrize("access", get_args(Access))
def test_a_view_gives_what_its_access_grants_and_no_more(access: Access, offer: str) -> None:
    touch, granted = OFFERS[offer]
    view = PLANTED.view(access)
    if access in granted:
        assert touch(view) is not None
    else:
        with pytest.raises(AccessError, match=f"within its declared access {access!r}, but it asked for"):
            touch(view)


def test_every_access_level_is_in_the_table_above() -> None:
    assert set(get_args(Access)) == GRANTS.keys()
    offered = {name for name in dir(View) if not name.startswith("_")}
    assert offered == OFFERS.keys(), "a new way into a release belongs into the table"


def test_nothing_is_loaded_before_it_is_granted() -> None:
    def refuse() -> None:
        raise AssertionError("loaded")

    for access in get_args(Access):
        view = View(access, PLANTED.schema, Device(), refuse, refuse)  # type: ignore[arg-type]
        for offer, (touch, granted) in OFFERS.items():
            if access not in granted:
                with pytest.raises(AccessError, match=offer if offer in GRANTS else "white_box|latent|updates"):
                    touch(view)


def test_what_is_loaded_is_loaded_once() -> None:
    calls = []
    stored = PLANTED.roles["members"].x

    def load() -> object:
        calls.append(1)
        return stored

    view = View("samples", PLANTED.schema, Device(), load)  # type: ignore[arg-type]
    assert np.array_equal(view.samples, to_float(stored, PLANTED.schema))
    assert view.samples is view.samples
    assert calls == [1]


def test_a_view_without_its_source_says_so() -> None:
    view = View("white_box", PLANTED.schema, Device())
    with pytest.raises(AccessError, match="made without generated records"):
        _ = view.samples
    with pytest.raises(AccessError, match="made without a release"):
        view.logits(X)


def test_logits_of_every_discriminator_whatever_the_chunks() -> None:
    one, other = PLANTED.release("memorised"), PLANTED.release("never saw")
    both = (*one.networks["discriminator"], *other.networks["discriminator"])
    release = Release(one.target, {**one.networks, "discriminator": both}, one.schema, one.device)
    many = np.concatenate([X] * (CHUNK // len(X) + 2))
    logits = release.logits(many)
    assert logits.shape == (2, len(many))
    assert logits.dtype == np.float64
    assert np.array_equal(logits[0], release.logits(X)[0][np.arange(len(many)) % len(X)])
    assert np.array_equal(logits[1, : len(X)], other.logits(X)[0])
    assert np.array_equal(release.decision(X)[0], PLANTED.membership)
    assert np.array_equal(release.decision(X), logits[:, : len(X)] > 0)


def test_a_target_without_a_discriminator_has_no_logits() -> None:
    release = PLANTED.release("memorised")
    bare = Release(release.target, {"generator": release.networks["generator"]}, Schema("image", (1, 8, 8)), Device())
    with pytest.raises(IncompatibleError, match="planted has no discriminator"):
        bare.logits(X)


def test_a_conditional_release_wants_a_label_for_every_record() -> None:
    target = DCGAN(width=4, latent=3, conditional=True)
    schema = Schema("image", (1, 8, 8), 3)
    release = Release(target, target.build(schema, torch_generator(0, "test")), schema, Device())
    with pytest.raises(IncompatibleError, match="dcgan is conditional: expected a label for every record, got none"):
        release.logits(X)
    first, second = (release.logits(X, np.full(len(X), label)) for label in (0, 2))
    assert not np.array_equal(first, second)
    plain = PLANTED.release("memorised")
    assert np.array_equal(plain.logits(X), plain.logits(X, np.zeros(len(X), np.int64)))
