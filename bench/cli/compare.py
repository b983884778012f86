"""``bench compare``: the regression test of a defense."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.compare.tolerance import DEFAULT
from bench.errors import InputError

if TYPE_CHECKING:
    from bench.compare.findings import Comparison


class Format(StrEnum):
    """How the comparison is written."""

    text = "text"
    md = "md"
    json = "json"
    junit = "junit"


def compare(
    base: Annotated[Path, typer.Argument(metavar="BASE", help="A results folder or a bundle.", show_default=False)],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The one that may be worse.", show_default=False)],
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-on",
            help="What is compared, and how much worse it may get: auc:+0.02,kid:+5%,coverage:-5%.",
            show_default=DEFAULT,
        ),
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(
            "--match",
            metavar="NEW=BASE",
            help="A defense or row (dataset/target/defense) that has another name in BASE; may be given often.",
            show_default=False,
        ),
    ] = None,
    across_versions: Annotated[
        bool, typer.Option("--across-versions", help="Compare although package versions differ, and say so.")
    ] = False,
    form: Annotated[
        Format, typer.Option("--format", help="A table, Markdown for a pull request, JSON, or JUnit XML.")
    ] = Format.text,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file in place of the terminal.", show_default=False)
    ] = None,
) -> None:
    """Is a defense worse than it was? Compares two boards of one matrix, row by row.

    Exit codes: 0 nothing is worse, 1 something is, 2 the input is wrong, 3 something is missing or cannot be compared.

    Examples:

      bench compare results/baseline results/quickstart

      bench compare results/baseline results/mine --fail-on auc:+0.02,kid:+5% --match 'dropout(rate=0.3)=dropout'

      bench compare results/baseline results/mine --format junit --out compare.xml
    """
    from bench.compare.run import compare_boards
    from bench.published.open import open_results

    with open_results(base) as ours, open_results(new) as theirs:
        found = compare_boards(ours, theirs, fail_on or (), match or (), across_versions, (str(base), str(new)))
    if out is None:
        terminal = form is Format.text and sys.stdout.isatty()
        print(_rendered(found, form, terminal), end="")
    else:
        _write(out, _rendered(found, form, False))
        from bench.compare.words import summary

        print(f"{summary(found)} Written to {out}.")
    sys.exit(found.exit_code)


def _rendered(found: Comparison, form: Format, terminal: bool) -> str:
    if form is Format.md:
        from bench.compare.render_md import render_md

        return render_md(found)
    if form is Format.json:
        from bench.compare.render_json import render_json

        return render_json(found)
    if form is Format.junit:
        from bench.compare.render_junit import render_junit

        return render_junit(found)
    from bench.compare.render_text import PLAIN_WIDTH, render_text

    return render_text(found, None if terminal else PLAIN_WIDTH, terminal)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"--out {path}: expected a file that can be written: {error}") from error
