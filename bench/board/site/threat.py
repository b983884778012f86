"""Threat models in words: what an attacker may touch, and what it knows besides."""

from __future__ import annotations

ACCESS = {
    "samples": "Sees one set of generated records, the same for every attack: the least that a release gives away.",
    "latent": "May also choose the generator's input, as an interface that takes latents allows.",
    "decision": "Gets a hard answer, real or fake, for any record that it hands in.",
    "white_box": "Holds the networks and may compute gradients: the whole model was released.",
    "updates": "Sees what federated clients send in each round of training.",
    "nothing": "Sees no release at all; controls only.",
}
"""Access level -> what an attack of it touches, in the order in which tables show them."""

KNOWLEDGE = {
    "nothing": "Knows nothing besides.",
    "reference": "Owns the reference records: from the same source as the members, and no candidates.",
    "labelled": "Owns the reference records, and is told the truth of some candidates, which are then not judged.",
    "shadow": "Owns the reference records, and trains models like the target on parts of them.",
    "shadow + candidates": (
        "Owns the reference records, and trains models like the target on parts of them and of the candidates, without "
        "knowing which of those are members."
    ),
    "labels": "Is told who is a member; controls only.",
}
"""Knowledge level -> what an attacker of it knows, least first."""


def access_name(level: str) -> str:
    """An access level for people.

    >>> access_name("white_box")
    'white box'
    """
    return level.replace("_", " ")


def access_order(level: str) -> int:
    """The place of an access level in tables; levels that are not listed stand last."""
    return list(ACCESS).index(level) if level in ACCESS else len(ACCESS)


def threat(access: str, knowledge: str) -> str:
    """A threat model in a sentence or two, for a tip; what is not listed is left out."""
    return " ".join(text for text in (ACCESS.get(access), KNOWLEDGE.get(knowledge)) if text)
