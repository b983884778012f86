"""LOGAN's generative attack: a GAN trained on generated samples, and on what the attacker knows besides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from bench.attacks._logan import SHARE, Auxiliary
from bench.errors import InputError


class LoganGenerative(Auxiliary):
    """The attacker GAN of ``logan_black_box``, with known members as real records and known non-members as fakes.

    The score is its discriminator's logit. The presets are the paper's three settings; reference records as fakes
    (``reference``) are beyond the paper, for an attacker who owns records but knows no candidate. Where there are such
    fakes, they and the generated ones are half of the discriminator's fake side each, which the paper leaves open.
    Known candidates are not judged.
    """

    name = "logan_generative"
    paper = "Hayes et al., LOGAN, PoPETs 2019, section 4.3.2"
    generates = True
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "known_members": {"known_members": SHARE, "reference": False},
        "known_nonmembers": {"known_nonmembers": SHARE, "reference": False},
        "known_both": {"known_members": SHARE, "known_nonmembers": SHARE, "reference": False},
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if not self.known and not self.options.reference:
            raise InputError(
                f"{self.name}: expected the attacker to know something beside the samples, got nothing; set "
                "`known_members`, `known_nonmembers` or `reference`, or take logan_black_box, which knows nothing"
            )
