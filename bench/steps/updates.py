"""How the rounds of federated training are stored: every model that the server saw, and who took part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.store import Artifact, write_json

if TYPE_CHECKING:
    import torch

    from targets.base import Networks
    from targets.rounds import Round

WEIGHTS, ROUNDS = "updates.safetensors", "updates.json"


def save_rounds(folder: Path, rounds: Iterable[Round]) -> None:
    """Write the rounds into a step's folder; nothing where there are none."""
    from safetensors.torch import save_file

    from targets.base import to_tensors

    tensors: dict[str, torch.Tensor] = {}
    facts = []
    for place, seen in enumerate(rounds):
        models = {"aggregate": seen.aggregate, **{str(c): sent for c, sent in (seen.clients or {}).items()}}
        for name, networks in models.items():
            for key, tensor in to_tensors(networks).items():
                tensors[f"{place}/{name}/{key}"] = tensor.cpu().contiguous()
        facts.append({"cohort": list(seen.cohort), "clients": seen.clients is not None})
    if facts:
        save_file(tensors, folder / WEIGHTS)
        write_json(folder / ROUNDS, facts)


def load_rounds(artifact: Artifact, build: Callable[[], Networks]) -> tuple[Round, ...]:
    """The stored rounds, as ``save_rounds`` wrote them; () where none were.

    Args:
        artifact: of a training.
        build: makes networks of the trained shape, which the stored weights go into.
    """
    from safetensors import safe_open

    from targets.base import from_tensors
    from targets.rounds import Round
    from targets.training import set_mode

    if ROUNDS not in artifact.files:
        return ()
    with safe_open(artifact.path(WEIGHTS), framework="pt") as stored:
        names = list(stored.keys())

        def model(place: int, name: str) -> Networks:
            networks, prefix = build(), f"{place}/{name}/"
            from_tensors(
                networks, {key.removeprefix(prefix): stored.get_tensor(key) for key in names if key.startswith(prefix)}
            )
            set_mode(networks, train=False)
            return networks

        return tuple(
            Round(
                tuple(facts["cohort"]),
                model(place, "aggregate"),
                {client: model(place, str(client)) for client in facts["cohort"]} if facts["clients"] else None,
            )
            for place, facts in enumerate(artifact.json(ROUNDS))
        )
