"""GAN-Leaks with a choice of latents but no gradients: a search for the latent that gives the candidate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from bench.attacks._latent_search import LatentLoss, LatentSearch
from bench.attacks._lowest import Floats
from bench.attacks._powell import powell
from bench.release import View


class GANLeaksPartial(LatentSearch):
    """Minus the lowest loss between the candidate and what the generator gives, over latents found without gradients.

    Powell's method, from the latent of the nearest record among the attacker's own draws. It departs from its source in
    the perceptual term, which compares local edges at several scales and not the features of a network that would have
    to be downloaded; in keeping the lowest loss of the search, not the last; in scoring by the whole loss of the paper,
    whose published code leaves the prior's term out of what it stores; and in a default search that is shorter than the
    published ten iterations (the preset ``paper``). The budget is looked at between line searches, so that a candidate
    may use a few evaluations more.
    """

    name = "gan_leaks_partial"
    paper = "Chen, Yu, Zhang and Fritz, GAN-Leaks, CCS 2020, the partial black-box attack"
    access = "latent"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {"iterations": 10, "evaluations": None}}

    class Options(LatentSearch.Options):
        iterations: int = Field(10, ge=1)
        """Rounds of line searches through as many directions as the latent has dimensions."""
        evaluations: int | None = Field(3000, ge=1)
        """Latents that are decoded for each candidate; None: as many as the iterations take."""

    options: Options

    def search(self, loss: LatentLoss, start: Floats, view: View) -> Floats:
        return powell(loss.values, start, self.options.iterations, self.options.evaluations).loss
