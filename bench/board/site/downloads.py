"""The files of a board beside its tables: where its methods come from, and the matrix that it was made from."""

from __future__ import annotations

from pathlib import Path

from bench.board.site.references import bibtex
from bench.results import Results

REFERENCES, MATRIX = "references.bib", "matrix.yaml"


def write_downloads(results: Results, folder: Path) -> None:
    """``references.bib`` and ``matrix.yaml``, this one verbatim, in an existing folder."""
    (folder / REFERENCES).write_text(bibtex(results), encoding="utf-8", newline="\n")
    # newline="": the matrix's own line ends stay, whatever the system.
    (folder / MATRIX).write_text(results.matrix_text, encoding="utf-8", newline="")
