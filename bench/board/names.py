"""File names for what a board writes: safe on every file system, and never two for one."""

from __future__ import annotations

import hashlib
import re

LONGEST = 96  # with the suffix and an extension well below the 143 bytes of the strictest common file system


def slug(*labels: str | int) -> str:
    """A file name for ``labels``, without extension: ``[a-z0-9_-]`` only, never empty, hidden or a path.

    Labels that read alike once cleaned (``a/b`` and ``a.b``, ``A`` and ``a``) differ in the suffix, a hash
    of the labels as they were.

    >>> slug("mnist5k", "dcgan", "../../etc")
    'mnist5k-dcgan-etc-0ea943f783'
    """
    exact = "\x1f".join(f"{type(label).__name__}:{label}" for label in labels)
    suffix = hashlib.sha256(exact.encode()).hexdigest()[:10]
    cleaned = (re.sub(r"[^a-z0-9_]+", "-", str(label).lower()).strip("-") for label in labels)
    stem = "-".join(part for part in cleaned if part)[:LONGEST].strip("-")
    return f"{stem}-{suffix}" if stem else suffix
