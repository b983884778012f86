"""Each target trains under differential privacy, or is refused with its reason before anything trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from bench.contracts.tiny import GREY, MIXED, run, shortened, tiny_request
from bench.registry import get, names
from bench.rng import torch_generator
from defenses.base import stack_refuses
from defenses.dp_sgd import DPSGD
from targets.base import Target

SMALL: dict[str, dict[str, Any]] = {
    "dcgan": {"width": 4, "latent": 4},
    "wgan_gp": {"width": 4, "latent": 4},
    "began": {"width": 8},
    "vae": {"width": 4, "latent": 4},
    "dcgan_vae": {"width": 4, "latent": 4, "feature_level": 1},
    "ddpm": {"width": 8, "sampling_steps": 3},
    "tvae": {"width": 8, "latent": 4},
    "ctgan": {"width": 8, "latent": 4},
    "memorizer": {},
    "resampler": {},
    "logan_attacker": {"width": 4, "latent": 4},
}
REFUSED = {
    "wgan_gp": "differentiated twice",
    "began": "mean loss on real records",
    "dcgan_vae": "three clipped updates",
    "memorizer": "no gradient reads",
    "resampler": "no gradient reads",
    "logan_attacker": "nobody to protect",
}
PRIVATE = sorted(SMALL.keys() - REFUSED.keys())


def small(name: str, **options: Any) -> Target:
    return cast("type[Target]", get("targets", name))(**SMALL[name], **options)


def test_the_table_names_every_target_that_trains() -> None:
    trained = {name for name in names("targets") if not cast("type[Target]", get("targets", name)).brought}
    assert trained == SMALL.keys()


@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("name", PRIVATE)
def test_it_trains_privately_and_claims_what_it_spent(name: str, conditional: bool) -> None:
    target = shortened(small(name, conditional=conditional), 3)
    schema = GREY if "image" in target.data else MIXED
    defense = DPSGD(noise_multiplier=1.0, delta=1e-3)
    assert stack_refuses((defense,), target, schema) is None
    found = run(tiny_request(target, (defense,), schema))
    assert found.status == "completed"
    assert found.claim is not None
    assert found.claim.epsilon is not None
    assert found.claim.epsilon > 0
    assert found.claim.steps == 3


@pytest.mark.parametrize("name", PRIVATE)
def test_private_networks_hold_nothing_but_what_the_noise_has_covered(name: str) -> None:
    """No running statistics: they would carry real records out without noise."""
    target = shortened(small(name), 2)
    schema = GREY if "image" in target.data else MIXED
    networks = target.build(schema, torch_generator(0, "test"))
    moving = {
        f"{role}.{n}"
        for role in target.private_roles
        for module in networks[role]
        for n, _ in module.named_buffers()
        if "running" in n or "num_batches" in n
    }
    assert moving == set(), "running statistics of real records are released without noise"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_it_is_refused_with_its_reason(name: str) -> None:
    reason = stack_refuses((DPSGD(noise_multiplier=1.0),), small(name), GREY)
    assert reason is not None
    assert REFUSED[name] in reason


def test_ctgan_with_a_gradient_penalty_is_refused() -> None:
    reason = stack_refuses((DPSGD(noise_multiplier=1.0),), small("ctgan", loss="wgan_gp"), MIXED)
    assert reason is not None
    assert "dp_sgd cannot protect ctgan" in reason


def test_labels_of_conditional_models_come_from_public_shares() -> None:
    """Moving the members' own label counts, at the same records, changes nothing of the generated labels."""
    from bench.devices import Device
    from targets.training import generate_labelled

    target = shortened(small("dcgan", conditional=True), 2)
    asked = tiny_request(target, (), GREY)
    labels = asked.records.labels
    assert labels is not None
    other = replace(asked, records=replace(asked.records, labels=(labels * 0)))
    made = [generate_labelled(target, run(a).networks, GREY, 50, 0, Device())[1] for a in (asked, other)]
    assert made[0] is not None
    assert made[1] is not None
    assert (made[0] == made[1]).all()
