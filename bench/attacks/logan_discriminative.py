"""LOGAN's discriminative attack: a classifier of generated against other records, without any generator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bench.attacks._logan import SHARE, Auxiliary
from bench.errors import InputError


class LoganDiscriminative(Auxiliary):
    """A discriminator of its own tells samples and known members from reference records and known non-members.

    It is the suite's DCGAN discriminator, whatever the target, without a generator. The score is its logit. The paper's
    attacker knows non-members at least, since its discriminator would have no fakes otherwise; here the reference
    records, which come from where the members come from, serve as well. Both classes count equally, however few records
    one has. Known candidates are not judged. A short training is a weaker attack: the options stand among the board's
    configurations.
    """

    name = "logan_discriminative"
    paper = "Hayes et al., LOGAN, PoPETs 2019, section 4.3.1"
    generates = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "known_nonmembers": {"known_nonmembers": SHARE, "reference": False},
        "known_both": {"known_members": SHARE, "known_nonmembers": SHARE, "reference": False},
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if not self.options.reference and not self.options.known_nonmembers:
            raise InputError(
                f"{self.name}: expected reference records or known non-members for its discriminator to call fake, got "
                "neither; set `reference` or `known_nonmembers`"
            )
