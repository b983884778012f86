"""Each rule of the contracts catches a plugin that breaks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pydantic import Field

from bench.attacks.base import Attack, Chunk, Knowledge, ModelRequest, TrialSpec
from bench.attacks.nearest_sample import NearestSample
from bench.contracts import Planted, check_attack, check_dataset, check_defense, check_light, check_target
from bench.contracts.planted import PlantedTarget
from bench.data.base import Dataset
from bench.devices import Device
from bench.plugin import Plugin
from bench.records import Records, Schema
from bench.release import View
from bench.rng import RecordRng, torch_generator
from defenses.base import Defense, Step, TrainingContext
from targets.base import Batch, Draw, Losses, Networks, Phase, Target
from targets.dcgan import DCGAN

Scores = NDArray[np.float64]
SMALL = Planted(members=30, nonmembers=30, reference=60)


# Attacks.


class Good(NearestSample):
    """An attack that keeps the contract."""

    name = "good"


class Reversed(Good):
    """Larger scores for non-members."""

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> Scores:
        return -super().score_chunk(chunk, state, view, rng)


class Peeks(Good):
    """Knows the members by their ids, whatever the release."""

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> Scores:
        return np.isin(chunk.ids, SMALL.roles["members"].ids) + 0.0 * view.samples[0, 0, 0, 0]


class ByPosition(Good):
    """Adds something that depends on the place in the chunk."""

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> Scores:
        return super().score_chunk(chunk, state, view, rng) + np.arange(len(chunk.ids)) * 1e-3


class Unseeded(Good):
    """Draws from a stream that goes on from call to call."""

    stream: ClassVar[np.random.Generator] = np.random.Generator(np.random.PCG64(0))

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> Scores:
        return super().score_chunk(chunk, state, view, rng) + 1e-3 * self.stream.random(len(chunk.ids))


class Modest(Good):
    """Declares more access than it uses."""

    access = "white_box"


class Blindfold(Good):
    """Judges without a release, and is no control."""

    access = "nothing"

    def score_chunk(self, chunk: Chunk, state: Any, view: View, rng: RecordRng) -> Scores:
        return chunk.x.reshape(len(chunk.x), -1).sum(axis=1).astype(np.float64)


class Cheats(Good):
    """Trains a model on the members."""

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        return (ModelRequest("m", {"name": "dcgan"}, "members"),)


class Twins(Good):
    """Asks for two models of one name."""

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        return tuple(ModelRequest("m", {"name": "dcgan"}, "samples", seed=seed) for seed in (0, 1))


class Wants(Good):
    """Trains on reference records without the knowledge, and on more than there are."""

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        return (ModelRequest("m", {"name": "dcgan"}, "reference", size=10**6),)


class Moody(Good):
    """Asks for other models every time."""

    count: ClassVar[list[int]] = [0]

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        self.count[0] += 1
        return (ModelRequest("m", {"name": "dcgan"}, "samples", seed=self.count[0]),)


class Undescribed(Good):
    """Has an option that nothing describes."""

    class Options(Attack.Options):
        k: int = 1


class Silent(Good):
    name = "silent"


@pytest.mark.parametrize(
    ("attack", "rule", "message"),
    [
        (Reversed, "finds_planted_members", "got 0.000; larger scores must mean members"),
        (Peeks, "finds_nothing_where_nothing_is", "expected an AUC of .5 within .* got 1.000"),
        (ByPosition, "order_changes_nothing|chunk_size_changes_nothing", "same score"),
        (Unseeded, "order_changes_nothing", "expected exactly the same score for a record wherever it stands"),
        (Modest, "stays_within_its_access", "declares the access 'white_box', but 'samples' is enough"),
        (Blindfold, "declares", "only a control judges records without any release"),
        (Cheats, "says_what_it_needs", "'m' would train on the members themselves"),
        (Twins, "says_what_it_needs", r"a name of its own, got \['m', 'm'\]"),
        (Wants, "says_what_it_needs", "trains on reference records, beyond the knowledge 'nothing'"),
        (Moody, "says_what_it_needs", "to give the same tuple twice"),
        (Undescribed, "declares", r"expected a docstring under every option, got none for \['k'\]"),
        (Silent, "declares", "expected a docstring, whose first line is shown"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_attack(attack: type[Attack], rule: str, message: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s)breaks its contract.*- (?:{rule}): .*{message}"):
        check_attack(attack, planted=SMALL)


def test_a_good_attack_on_images_and_on_tables() -> None:
    for planted in (SMALL, Planted("table", 40, 40, 80)):
        assert set(check_attack(Good, planted=planted).values()) == {""}


def test_a_rule_that_is_left_out_is_in_the_report() -> None:
    report = check_attack(Reversed, planted=SMALL, leave_out=["finds_planted_members"])
    assert report["finds_planted_members"] == "left out by the caller"
    with pytest.raises(AssertionError, match=r"expected leave_out to name some of the rules .* got \['typo'\]"):
        check_attack(Good, planted=SMALL, leave_out=["typo"])


def test_an_attack_on_other_networks_asks_for_a_planted_target() -> None:
    class NeedsTeacher(Good):
        """Needs a teacher."""

        needs_roles = frozenset({"teacher"})

    with pytest.raises(AssertionError, match=r"needs \['teacher'\]: pass `planted` with a target"):
        check_attack(NeedsTeacher)


def test_a_class_that_needs_options_asks_for_an_instance() -> None:
    class Demanding(Good):
        """Needs an option."""

        class Options(Attack.Options):
            k: int
            """Something."""

    with pytest.raises(AssertionError, match=r"Demanding needs the options \['k'\]: pass an instance"):
        check_attack(Demanding)


def test_the_planted_release_is_what_it_says() -> None:
    release, x = SMALL.release("memorised"), SMALL.candidates.floats()
    assert np.array_equal(release.decision(x), SMALL.membership[None])
    assert not SMALL.release("never saw").decision(x).any()
    assert np.array_equal(SMALL.view("samples").samples, SMALL.roles["members"].floats())
    (generator,) = release.networks["generator"]
    made = release.decode(generator.get_buffer("anchors")).numpy()
    np.testing.assert_allclose(made, SMALL.roles["members"].floats(), atol=1e-3)
    z = torch.randn((4, 32), generator=torch_generator(0, "test")).requires_grad_()
    release.decode(z).sum().backward()
    assert z.grad is not None
    assert bool(torch.isfinite(z.grad).all())


def test_planted_models_have_memorised_what_they_ask_for() -> None:
    class Shadowed(Good):
        """Asks for a model of part of the reference records."""

        knowledge = "shadow"

        def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
            return (ModelRequest("m", {"name": "dcgan"}, "reference", size=10, seed=3),)

    first, second = (SMALL.knowledge(Shadowed()).models["m"].release for _ in range(2))
    x = SMALL.roles["reference"].floats()
    assert first.decision(x).sum() == 10
    assert np.array_equal(first.decision(x), second.decision(x))


# Targets.


class Tiny(DCGAN):
    """A target that keeps the contract."""

    name = "tiny"

    class Options(DCGAN.Options):
        width: int = Field(4, ge=4)
        """Channels."""


class Public(Tiny):
    """Says that its discriminator reads no real records."""

    def phases(self) -> tuple[Phase, ...]:
        return tuple(Phase(p.name, p.roles, private=False) for p in super().phases())


class GlobalWeights(Tiny):
    """Draws its weights from torch's global generator."""

    def build(self, schema: Schema, rng: torch.Generator) -> Networks:
        networks = super().build(schema, rng)
        for p in networks["discriminator"][0].parameters():
            torch.nn.init.normal_(p)
        return networks


class GlobalNoise(Tiny):
    """Draws latents from torch's global generator."""

    def latent(self, n: int, draw: Draw) -> torch.Tensor:
        return torch.randn(n, self.options.latent)


class Wild(Tiny):
    """Generates images beyond their range."""

    def decode(self, networks: Networks, z: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return super().decode(networks, z, labels) + 3


class Lazy(Tiny):
    """Never updates its generator."""

    def phases(self) -> tuple[Phase, ...]:
        return super().phases()

    def optimizer(self, phase: Phase, parameters: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, lr=0.0 if phase.name == "generator" else 0.1)


class Mixing(Tiny):
    """Normalises over the batch."""

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        found = super().losses(phase, networks, batch, draw)
        if found.private is not None and len(batch.x):
            return Losses(found.private * batch.x.mean(), found.public)
        return found


class NoEmpty(Tiny):
    """Gives a loss where Poisson sampling drew nobody."""

    def losses(self, phase: Phase, networks: Networks, batch: Batch, draw: Draw) -> Losses:
        found = super().losses(phase, networks, batch, draw)
        if found.private is not None and not len(batch.x):
            return Losses(torch.zeros(1), found.public)
        return found


class Nothing(Tiny):
    """Refuses everything."""

    def refuses(self, schema: Schema) -> str | None:
        return "no"


class Stranger(Tiny):
    """Names a private role that it has not."""

    private_roles = ("discriminator", "encoder")


@pytest.mark.parametrize(
    ("target", "rule", "message"),
    [
        (Public, "phases_fit_the_roles", r"says private=False, but it updates the private roles \['discriminator'\]"),
        (GlobalWeights, "builds_from_its_generator", "follow the global one"),
        (GlobalNoise, "trains", "expected two runs of one seed to agree bit for bit"),
        (GlobalNoise, "generates", "expected the same records from the same seed"),
        (Wild, "generates", r"expected images in \[-1, 1\]"),
        (Lazy, "trains", r"every updated role, but \['generator'\] stayed"),
        (Mixing, "keeps_records_apart", "but another record moved it"),
        (NoEmpty, "keeps_records_apart", "expected no private losses for the empty batch"),
        (Nothing, "refuses_with_a_reason", "expected to model at least one of"),
        (Stranger, "declares", r"expected `private_roles` among `roles`, got \['encoder'\]"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_target(target: type[Target], rule: str, message: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s)breaks its contract.*- {rule}: .*{message}"):
        check_target(target)


def test_a_good_target() -> None:
    assert set(check_target(Tiny).values()) == {""}


# Defenses.


class Harmless(Defense):
    """Does nothing, and says that it does something."""

    name = "harmless"


class Busy(Defense):
    """A defense that keeps the contract."""

    name = "busy"

    def transform_losses(self, losses: Losses, batch: Batch, step: Step) -> Losses:
        return Losses(None if losses.private is None else losses.private * 0.5, losses.public)


class Careless(Busy):
    """Draws from torch's global generator."""

    def transform_batch(self, batch: Batch, step: Step) -> Batch:
        return replace(batch, x=batch.x + torch.randn_like(batch.x))


class Forgetful(Busy):
    """Refuses nothing, not even a wrong order."""

    def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
        return None


class Fickle(Busy):
    """Builds other networks the second time."""

    count: ClassVar[list[int]] = [0]

    def adapt_networks(self, networks: Networks, context: TrainingContext) -> Networks:
        self.count[0] += 1
        for _ in range(self.count[0]):
            networks["discriminator"][0].append(torch.nn.LayerNorm(1))
        return networks


@pytest.mark.parametrize(
    ("defense", "rule", "message"),
    [
        (Harmless, "changes_something", "there is no difference to the undefended run: it is inert"),
        (Careless, "same_seed_same_weights", "expected two runs of one seed to agree bit for bit"),
        (Forgetful, "stacks_in_order", r"refused with the right order \[busy, another_per_record\], got None"),
        (Fickle, "keeps_the_roles", "expected to load trained weights into rebuilt networks"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_defense(defense: type[Defense], rule: str, message: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s)breaks its contract.*- {rule}: .*{message}"):
        check_defense(defense)


def test_a_good_defense() -> None:
    assert set(check_defense(Busy).values()) == {""}


def test_a_baseline_that_changes_something() -> None:
    class Baseline(Busy):
        """A baseline that is none."""

        family = "none"

    with pytest.raises(AssertionError, match="changes_something: expected the baseline to change nothing"):
        check_defense(Baseline)


def test_a_filter_counts_as_a_change() -> None:
    class Filter(Harmless):
        """Holds back copies of members."""

        def filter_samples(self, samples: Any, members: Records, validation: Records) -> NDArray[np.bool_]:
            copies = {row.tobytes() for row in members.x}
            return np.array([row.tobytes() not in copies for row in samples])

    class Wrong(Harmless):
        """Gives positions instead of a mask."""

        def filter_samples(self, samples: Any, members: Records, validation: Records) -> Any:
            return np.arange(3)

    assert check_defense(Filter)["changes_something"] == ""
    with pytest.raises(AssertionError, match="expected filter_samples to give None or an array of 48 booleans, got"):
        check_defense(Wrong)


def test_a_defense_that_refuses_the_target_is_reported_as_unchecked() -> None:
    class Picky(Busy):
        """Wants an encoder."""

        def refuses(self, target: Target, schema: Schema, before: Sequence[Defense]) -> str | None:
            return "needs an encoder"

    report = check_defense(Picky)
    assert {rule for rule, reason in report.items() if reason == "needs an encoder"} == {
        "stacks_in_order", "keeps_the_roles", "same_seed_same_weights", "changes_something",
    }  # fmt: skip


# Data sets, and light imports.


def dataset(load: Any) -> Dataset:
    class Fake(Dataset):
        """A data set of a test."""

        name = "fake"

        def load(self, base_dir: Path) -> Any:
            return load()

    return Fake()


def noise(first_id: int = 0, seed: int = 0) -> Records:
    x = SMALL.records.x[seed : seed + 5]
    return Records(np.arange(first_id, first_id + 5), x, None, SMALL.schema)


def download() -> Records:
    import socket

    try:
        socket.create_connection(("example.org", 80), timeout=1)
    except OSError:
        return noise()
    return noise()


calls: list[int] = []


def shifting() -> Records:
    calls.append(1)
    return noise(seed=len(calls))


@pytest.mark.parametrize(
    ("load", "rule", "message"),
    [
        (lambda: noise(1), "loads_offline", "expected the ids 0, 1, 2"),
        (lambda: noise().take(np.zeros(0, np.int64)), "loads_offline", "expected at least one record"),
        (lambda: [1, 2], "loads_offline", r"expected load\(\) to give Records, got list"),
        (download, "loads_offline", "it reached for the network"),
        (shifting, "same_fingerprint_twice", "the same records in the same order"),
    ],
    ids=["ids", "empty", "list", "network", "shifting"],
)
def test_a_broken_data_set(load: Any, rule: str, message: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s)breaks its contract.*- {rule}: .*{message}"):
        check_dataset(dataset(load))


def test_a_good_data_set() -> None:
    assert set(check_dataset(dataset(noise)).values()) == {""}


@pytest.mark.parametrize(
    ("top", "inside", "message"),
    [
        ("import matplotlib", "pass", r"importing defenses \./heavy\.py:Heavy loads \['matplotlib'\]"),
        ("import os", "import matplotlib", r"\./heavy\.py:Heavy\.refuses\(\) loads \['matplotlib'\]"),
        ("import no_such_module", "pass", "expected the plugins to be importable"),
    ],
)
def test_a_heavy_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, top: str, inside: str, message: str) -> None:
    (tmp_path / "heavy.py").write_text(
        f"{top}\nfrom defenses.base import Defense\nclass Heavy(Defense):\n    '''Heavy.'''\n    name = 'heavy'\n"
        f"    def refuses(self, target, schema, before):\n        {inside}\n",
        "utf-8",
    )
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AssertionError, match=message):
        check_light([("defenses", "./heavy.py:Heavy", {})])


def test_the_planted_target_is_no_registered_one() -> None:
    assert isinstance(PlantedTarget(), Plugin)
    assert PlantedTarget().refuses(Schema("image", (1, 8, 8))) is None
    assert Device().kind == "cpu"
    assert Knowledge().models == {}
