"""A classifier of generated against real records: LOGAN's discriminative attack where no candidate is known."""

from __future__ import annotations

from bench.attacks._logan import ToldApart


class GeneratedClassifier(ToldApart):
    """A classifier of generated samples against reference records; candidates that look generated are called members.

    The literature's name for ``logan_discriminative`` without any known candidate: the same model and the same scores.
    """

    name = "generated_classifier"
    paper = "Hayes et al., LOGAN, PoPETs 2019, section 4.3.1, without known candidates"
    knowledge = "reference"
    generates = False
    against_reference = True
