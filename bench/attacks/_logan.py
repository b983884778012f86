"""LOGAN's attackers that know more than the samples: what they know joins the records of their own discriminator."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from bench.attacks.base import ModelRequest, Shares, Source, TrialSpec
from bench.attacks.logan_black_box import LoganBlackBox

SHARE = 0.2  # of the candidates that a preset's attacker knows; the paper tries .2 and .3


class ToldApart(LoganBlackBox):
    """Base class of attackers whose discriminator is trained on records labelled real and fake.

    Real are the generated samples and the known members; fake are the known non-members, the reference records where
    ``against_reference`` is set, and the attacker's own generated images where ``generates`` is.
    """

    fair_to_reference = False  # reference records may be what it was trained to call fake
    generates: ClassVar[bool]
    against_reference: bool = False

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        members, nonmembers = trial.sizes["members"], trial.sizes["nonmembers"]
        told = self.known.counts(members, nonmembers)
        for what, share, count, size in (
            ("members", self.known.members, told[True], members),
            ("non-members", self.known.nonmembers, told[False], nonmembers),
        ):
            if share and not count:
                return f"{self.name} is told {share:g} of the {what}, which is none of {size}"
        if self.against_reference and not trial.sizes["reference"]:
            return f"{self.name} takes the reference records for fakes, and there are none; set `reference`"
        return super().not_applicable(trial, roles)

    def needs(self, trial: TrialSpec) -> tuple[ModelRequest, ...]:
        spec = {
            "name": "logan_attacker",
            "balanced": True,
            "generates": self.generates,
            **{name: getattr(self.options, name) for name in LoganBlackBox.Options.model_fields},
            # One step size for both networks and no average, as in the paper.
            "discriminator_learning_rate": None,
            "average": None,
        }
        against: Source | None = "reference" if self.against_reference else None
        return (ModelRequest("attacker", spec, "samples", seed=trial.seed, known=self.known, against=against),)


class AuxiliaryOptions(LoganBlackBox.Options):
    """Options of attackers that may be told the truth of some candidates."""

    known_members: float = Field(0.0, ge=0, lt=1)
    """Share of the members that the attacker knows to be members; those are not judged."""
    known_nonmembers: float = Field(0.0, ge=0, lt=1)
    """Share of the non-members that the attacker knows to be none; those are not judged."""
    reference: bool = True
    """Whether the reference records are fakes to its discriminator."""


class Auxiliary(ToldApart):
    """Base class of attackers whose options say what they know."""

    class Options(AuxiliaryOptions):
        """Nothing beside what the attacker knows."""

    options: Options

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        o = self.options
        self.known = Shares(o.known_members, o.known_nonmembers)
        self.against_reference = o.reference
        self.knowledge = "labelled" if self.known else "reference"
