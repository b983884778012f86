"""What a finished step found that stops the steps after it: an incompatible pair, a training that diverged."""

from __future__ import annotations

from bench.store import Store

DIVERGED = "training diverged"


def finding(store: Store, kind: str, key: str) -> str | None:
    """Why nothing can follow this artifact, or None; None also where it does not exist yet."""
    if kind not in ("preflight", "train") or (artifact := store.find(kind, key)) is None:
        return None
    facts = artifact.json("result.json")
    if kind == "preflight":
        return None if facts["compatible"] else str(facts["reason"])
    return f"{DIVERGED} at step {facts['steps_done']}" if facts["status"] == "diverged" else None
