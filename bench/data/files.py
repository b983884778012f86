"""Image files of users: found in a folder, decoded to pixels, and what to say where they are missing or damaged."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.data.images import Image, as_array
from bench.errors import InputError, MissingFilesError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
GREY = {"1", "L", "LA", "La"}
COLOUR = {"RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "HSV", "LAB"}


def missing_files(dataset: str, what: str, places: Sequence[Path | str], ways: str) -> MissingFilesError:
    """The error for files that are not here: where they were looked for, and how to get them."""
    looked = " or ".join(str(place) for place in places)
    return MissingFilesError(f"{dataset}: expected {what} in {looked}, found none; {ways}")


def find_images(folder: Path) -> list[str]:
    """Relative paths of all images under a folder, sorted; hidden files and folders do not count.

    Raises:
        InputError: a folder within it is a link, whose images would be left out in silence.
    """
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        if linked := [name for name in folders if (Path(place) / name).is_symlink()]:
            raise InputError(f"{place}: expected folders of images, but {linked} are links; copy or move them there")
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                found.append((Path(place) / name).relative_to(folder).as_posix())
    return sorted(found)


def any_colour(paths: Sequence[Path]) -> bool:
    """Whether any image is a colour image, read from the headers.

    Raises:
        InputError: images are damaged or of a kind that has no 8 bits per channel; names all of them.
    """
    problems, colour = [], False
    for path in paths:
        try:
            colour = _decoded(path, header_only=True).mode in COLOUR or colour
        except InputError as error:
            problems += [f"{path}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(problems)
    return colour


def read_image(path: Path, colour: bool) -> Image:
    """One image file as uint8, ``(3, height, width)`` in colour, else ``(1, height, width)``.

    Transparency is dropped and the orientation that a camera noted is not applied.

    Raises:
        InputError: it is damaged, or has no 8 bits per channel.
    """
    return as_array(_decoded(path).convert("RGB" if colour else "L"))


def _decoded(path: Path, header_only: bool = False) -> PillowImage:
    from PIL import Image as Pillow

    try:
        with Pillow.open(path) as image:
            if not header_only:
                image.load()
    # Pillow's decoders raise these, depending on the format and on where the damage is.
    except (OSError, SyntaxError, ValueError, TypeError, EOFError, IndexError, Pillow.DecompressionBombError) as error:
        raise InputError(f"expected an image file, but it cannot be decoded ({error}); replace or remove it") from error
    if image.mode not in GREY | COLOUR:
        raise InputError(f"expected 8 bits per channel, got an image of mode {image.mode}; convert it to 8 bits")
    return image
