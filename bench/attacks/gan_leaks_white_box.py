"""GAN-Leaks with the generator's gradients: a search for the latent that gives the candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from bench.attacks._latent_search import LatentLoss, LatentSearch
from bench.attacks._lbfgs import lbfgs
from bench.attacks._lowest import Floats
from bench.attacks.base import TrialSpec
from bench.release import View


class GANLeaksWhiteBox(LatentSearch):
    """Minus the lowest loss between the candidate and what the generator gives, over latents found by gradients.

    L-BFGS, from the latent of the nearest record among the attacker's own draws; where the target has an encoder, from
    the candidate's own encoding if that has the lower loss. It departs from its source in that start; in the perceptual
    term, which compares local edges at several scales and not the features of a network that would have to be
    downloaded; in a search of each candidate by itself, not of a batch under one step size; in keeping the lowest loss
    of the search, not the last; in scoring by the whole loss of the paper, whose published code leaves the prior's term
    out of what it stores; and in a default search that is shorter than the published 1000 evaluations (the preset
    ``paper``).
    """

    name = "gan_leaks_white_box"
    paper = "Chen, Yu, Zhang and Fritz, GAN-Leaks, CCS 2020, the white-box attack"
    access = "white_box"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"evaluations": 1000}}

    class Options(LatentSearch.Options):
        evaluations: int = Field(200, ge=1)
        """Latents that are decoded for each candidate, with a gradient each."""

    options: Options

    def not_applicable(self, trial: TrialSpec, roles: frozenset[str]) -> str | None:
        if (reason := super().not_applicable(trial, roles)) is not None:
            return reason
        if not roles & {"generator", "decoder"}:
            return f"{self.name} searches the latents of a generator or decoder, and {trial.target['name']} has none"
        return None

    def search(self, loss: LatentLoss, start: Floats, view: View) -> Floats:
        if "encoder" in view.networks:
            encoded, every = loss.encoded(), np.arange(len(start))
            better = loss.values(encoded, every) < loss.values(start, every)
            start = np.where(better[:, None], encoded, start)
        return lbfgs(loss.slopes, start, self.options.evaluations).loss
