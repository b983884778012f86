"""Banks of shadow models, trained like the target on other records; attacks that ask for one share its trainings."""

from __future__ import annotations

from bench.attacks.base import ModelRequest, Source, TrialSpec

UNDEFENDED = ({"name": "none"},)


def offline_bank(
    trial: TrialSpec, models: int, *, defended: bool = True, samples: bool = False
) -> tuple[ModelRequest, ...]:
    """Shadows ``offline-0``... on random subsets of the reference records: no candidate is in any of them.

    With no more reference records than a shadow trains on, all shadows train on the same ones and differ in their seed
    alone: what they vary by is the training's noise, and not the records.

    Args:
        trial: the attacked trial; each shadow trains on as many records as it, since another number overfits
            differently, and whatever the trial's seed, so that its seeds share the bank.
        models: how many.
        defended: whether they are trained under the trial's own defense stack, or undefended.
        samples: whether records are generated from them too.
    """
    return _bank("offline", "reference", trial.sizes["reference"], trial, models, defended, samples)


def online_bank(
    trial: TrialSpec, models: int, *, defended: bool = True, samples: bool = False
) -> tuple[ModelRequest, ...]:
    """Shadows ``online-0``... on random subsets of the candidates, each of which is in some and out of others.

    The arguments are those of ``offline_bank``.
    """
    n = trial.sizes["members"] + trial.sizes["nonmembers"]
    return _bank("online", "candidates", n, trial, models, defended, samples)


def too_few_reference(name: str, trial: TrialSpec, times: float = 1, defended: bool = True) -> str | None:
    """Why a bank cannot be drawn from the reference records, or None.

    Args:
        name: of the attack.
        trial: the attacked trial.
        times: how many times the size of a shadow's training set the reference must have.
        defended: whether the shadows are trained under the trial's own defense stack.
    """
    size = _size(trial, defended)
    need = int(times * size)
    if trial.sizes["reference"] >= need:
        return None
    return (
        f"{name} trains shadows on {size} reference records each, as many as the target's, and needs "
        f"{need} in all; there are {trial.sizes['reference']}"
    )


def too_few_candidates(name: str, trial: TrialSpec, defended: bool = True) -> str | None:
    """Why no bank can be drawn from the candidates that leaves each of them out of some shadow, or None."""
    size, candidates = _size(trial, defended), trial.sizes["members"] + trial.sizes["nonmembers"]
    if size < candidates:
        return None
    return (
        f"{name} trains shadows on {size} of the candidates each, as many as the target's records, and some of the "
        f"candidates must be left out of each; there are {candidates}"
    )


def _size(trial: TrialSpec, defended: bool) -> int:
    """How many records a shadow trains on; an undefended one is of an undefended trial, which no defense gives more."""
    return (trial.training_size if defended else None) or trial.members


def _bank(
    name: str, source: Source, available: int, trial: TrialSpec, models: int, defended: bool, samples: bool
) -> tuple[ModelRequest, ...]:
    # Cut from one shuffle, subsets are disjoint, and each record is in about equally many of them.
    size = _size(trial, defended)
    parts = max(1, available // size)
    return tuple(
        ModelRequest(
            f"{name}-{k}",
            trial.target,
            source,
            None if defended else UNDEFENDED,
            size,
            seed=k // parts,
            part=k % parts,
            samples=samples,
        )
        for k in range(models)
    )
