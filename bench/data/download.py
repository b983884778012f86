"""The one place that fetches a data set, and only where a matrix says ``download: true``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from bench.errors import MissingFilesError

T = TypeVar("T")


def download(dataset: str, fetch: Callable[[], T], ways: str) -> T:
    """What ``fetch`` returns, one of torchvision's downloads, which verify the md5 of what came.

    Raises:
        MissingFilesError: it failed.
    """
    try:
        return fetch()
    except (OSError, RuntimeError) as error:
        why = " ".join(str(error).split())
        raise MissingFilesError(f"{dataset}: expected to download it, but that failed ({why}); {ways}") from error
