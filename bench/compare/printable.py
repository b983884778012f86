"""Text from boards, made safe to show: names and reasons are other people's, and a terminal obeys some characters."""

from __future__ import annotations

import re

# Controls (C0, DEL, C1: a terminal acts on them), marks that turn the direction of a line, and lone surrogates, which
# no output can encode.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    r"""Text on one line, with a replacement character for what a terminal would obey instead of show.

    >>> printable("a\n b\x1b[31m\x07c")
    'a b\ufffd[31m\ufffdc'
    """
    return _UNSAFE.sub("\ufffd", " ".join(text.split()))


def is_printable(text: str) -> bool:
    """Whether there is nothing in it that ``printable`` would replace."""
    return _UNSAFE.search(text) is None
