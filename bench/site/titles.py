"""What a site calls its boards: the name of each, or more where two share one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def titles(boards: Sequence[tuple[str, Path]]) -> tuple[str, ...]:
    """A title for each board, no two of which are alike in any case.

    Args:
        boards: name and place of each, in the site's order.

    >>> titles([("mnist", Path("a")), ("vae", Path("b.zip")), ("VAE", Path("c")), ("VAE", Path("d/c"))])
    ('mnist', 'b', 'c', 'c (2)')
    """
    shared = Counter(name.casefold() for name, _ in boards)
    made: list[str] = []
    taken = {name.casefold() for name, _ in boards if shared[name.casefold()] == 1}
    for name, path in boards:
        if name and shared[name.casefold()] == 1:
            made.append(name)
            continue
        wanted = title = path.resolve().name.removesuffix(".zip") or "board"
        number = 1
        while title.casefold() in taken:
            number += 1
            title = f"{wanted} ({number})"
        taken.add(title.casefold())
        made.append(title)
    return tuple(made)
