"""Which stacks are refused before anything trains, and with what reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from dp_cases import SCHEMA, AutoEncoder, Private, context, request, tiny

from bench.errors import IncompatibleError
from bench.records import Schema
from defenses._per_record import refuses_per_record
from defenses.base import Defense, TrainingContext, adapt_all, stack_refuses
from defenses.clip_only import ClipOnly
from defenses.dp_sgd import DPSGD
from defenses.dropout import Dropout
from defenses.none import NoDefense
from defenses.spectral_norm import SpectralNorm
from defenses.weight_norm import WeightNorm
from targets.base import Networks, Phase, Target
from targets.dcgan import DCGAN
from targets.training import train

DP = DPSGD(noise_multiplier=1.0)


class Procedure(Defense):
    """Replaces the procedure."""

    name = "procedure"
    replaces_procedure = True


class OtherProcedure(Procedure):
    """Replaces it too."""

    name = "other_procedure"


class BothPrivate(DCGAN):
    """Its generator's phase reads real records too."""

    name = "both_private"
    private_roles = ("discriminator", "generator")  # type: ignore[assignment]

    def phases(self) -> tuple[Phase, ...]:
        discriminator, generator = super().phases()
        return discriminator, replace(generator, private=True)


class Uncovered(DCGAN):
    """Says that its generator reads real records, but updates it in a public phase."""

    name = "uncovered"
    private_roles = ("discriminator", "generator")  # type: ignore[assignment]


@pytest.mark.parametrize(
    "stack",
    [
        (),
        (NoDefense(),),
        (WeightNorm(), Dropout(), DP),
        (Dropout(), ClipOnly()),
        (Dropout(rate=0.2), Dropout(rate=0.3)),
        (WeightNorm(), SpectralNorm()),
        (Procedure(), WeightNorm()),
    ],
    ids=str,
)
def test_stacks_that_fit(stack: tuple[Defense, ...]) -> None:
    assert stack_refuses(stack, tiny(), SCHEMA) is None


@pytest.mark.parametrize(
    ("stack", "reason"),
    [
        (
            (SpectralNorm(), WeightNorm()),
            "weight_norm takes a weight apart, which spectral_norm has made a computed one; write "
            "[weight_norm, spectral_norm]",
        ),
        (
            (WeightNorm(), Procedure()),
            "procedure makes the networks that the others change, so it must come first in a stack: write "
            "[procedure, weight_norm]",
        ),
        (
            (Procedure(), DP),
            "dp_sgd accounts for one training, but procedure replaces the training procedure",
        ),
        (
            (DP, Dropout()),
            "dp_sgd attaches to finished networks, so it must come last in a stack: write [dropout, dp_sgd]",
        ),
        (
            (WeightNorm(), ClipOnly(), Dropout()),
            "clip_only attaches to finished networks, so it must come last in a stack: write [dropout, clip_only]",
        ),
        ((DP, ClipOnly()), "dp_sgd and clip_only both clip per-record gradients; a stack can hold only one of them"),
        ((ClipOnly(), DP), "clip_only and dp_sgd both clip per-record gradients; a stack can hold only one of them"),
        (
            (DPSGD(epsilon=1.0), DPSGD(epsilon=2.0)),
            "dp_sgd and dp_sgd both clip per-record gradients; a stack can hold only one of them",
        ),
        ((DP, DP), "dp_sgd stands twice in the stack with the same options"),
        ((Dropout(), WeightNorm(), Dropout()), "dropout stands twice in the stack with the same options"),
        (
            (Procedure(), OtherProcedure()),
            "at most one defense of a stack may replace the training procedure, got procedure and other_procedure",
        ),
    ],
    ids=str,
)
def test_stacks_that_do_not(stack: tuple[Defense, ...], reason: str) -> None:
    assert stack_refuses(stack, tiny(), SCHEMA) == reason


@pytest.mark.parametrize("defense", [DP, ClipOnly()], ids=repr)
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (tiny(norm="batch"), "norm=batch mixes the records of a batch in a private network.*use norm=group"),
        (BothPrivate(), "makes one clipped update per step, but both_private has 2 phases that read real records"),
        (Uncovered(), r"would leave \['generator'\] of uncovered, which read real records, unprotected"),
    ],
    ids=repr,
)
def test_targets_whose_gradients_belong_to_no_record_are_refused(target: Target, defense: Defense, reason: str) -> None:
    found = stack_refuses((defense,), target, SCHEMA)
    assert found is not None
    with pytest.raises(IncompatibleError, match=reason):
        raise IncompatibleError(found)
    assert stack_refuses((NoDefense(),), target, SCHEMA) is None


def test_the_targets_own_refusal_comes_first() -> None:
    assert stack_refuses((DP,), tiny(norm="batch"), Schema("table", (3,))) == (
        "dcgan models image records, not table records"
    )


@pytest.mark.parametrize("defense", [DP, ClipOnly()], ids=repr)
def test_batch_norm_is_refused_by_the_validator_too(defense: Defense) -> None:
    with pytest.raises(IncompatibleError, match=r"per-record gradients are not possible in dcgan: .*BatchNorm"):
        train(request(tiny(norm="batch"), defense))


def test_a_private_layer_with_buffers_is_refused_with_the_reason() -> None:
    from torch.nn.utils.parametrizations import spectral_norm

    class SpectralNorm(Defense):
        name = "spectral"

        def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
            spectral_norm(next(networks["discriminator"][0].children()))
            return networks

    with pytest.raises(IncompatibleError, match=r"per-record gradients are not possible in dcgan: .*buffers"):
        Private(tiny(), (SpectralNorm(),))


def test_two_private_phases_void_the_claim_should_they_ever_train() -> None:
    """The plan refuses such a pair; the loop does not take the refusal for granted."""
    target = BothPrivate(steps=2, batch_size=8, width=4, latent=5)
    assert refuses_per_record(DP, target) is not None
    with pytest.raises(IncompatibleError, match="BatchNorm"):
        train(request(target, DP))


def test_an_auto_encoder_is_protected_whole() -> None:
    target = AutoEncoder(steps=3, batch_size=8)
    assert stack_refuses((DP,), target, SCHEMA) is None
    claim = train(request(target, DP)).claim
    assert claim is not None
    assert claim.epsilon is not None


def test_a_defense_may_not_lose_a_network() -> None:
    class Loser(Defense):
        name = "loser"

        def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
            return {"generator": networks["generator"]}

    target = tiny()
    networks: Networks = {"generator": (), "discriminator": ()}
    with pytest.raises(IncompatibleError, match=r"loser removed the networks \['discriminator'\] of dcgan"):
        adapt_all((Loser(),), networks, context(target))
