"""Takes over a picture that cannot be drawn again: its pixels, and nothing else that the file may hold."""

from __future__ import annotations

import warnings
from pathlib import Path

from PIL import Image

from bench.errors import InputError

MAX_BYTES = 20 << 20
"""Of a picture's file."""

MAX_PIXELS = 50_000_000
"""Of a picture; ours have a hundredth of it."""


def take_over(source: Path, to: Path) -> None:
    """Decode a PNG that anybody may have made, and write its pixels as a new PNG, without comments or what trails it.

    Raises:
        InputError: it is no plain file, too large, or no PNG that can be decoded.
    """
    if source.is_symlink() or source.parent.is_symlink() or not source.is_file():
        raise InputError(f"{source.name}: expected a plain file, got a link or something else")
    if (size := source.stat().st_size) > MAX_BYTES:
        raise InputError(f"{source.name}: expected a picture of at most {MAX_BYTES} bytes, got {size}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is lower
            with Image.open(source, formats=["PNG"]) as picture:
                if (pixels := picture.width * picture.height) > MAX_PIXELS:
                    raise InputError(f"{source.name}: expected at most {MAX_PIXELS} pixels, got {pixels}")
                plain = picture.convert("L" if picture.mode in ("1", "L") else "RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{source.name}: expected a PNG, which cannot be decoded: {error}") from error
    Image.frombytes(plain.mode, plain.size, plain.tobytes()).save(to, format="PNG")
