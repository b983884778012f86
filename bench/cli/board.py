"""``bench board`` and ``bench digest``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import DeviceOption, Planned, ResultsOption, make_plan
from bench.errors import InputError, MissingError


def board(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RESULTS...",
            help="Matrix files, whose boards are written again; or published boards: results folders, baselines and "
            "bundles (.zip).",
            show_default=False,
        ),
    ],
    folder: ResultsOption = Path("results"),
    device: DeviceOption = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write a site of all boards to this folder; `site`, where published or several boards are given.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Of the site.", show_default=False)] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="BASE",
            help="Mark on the pages what changed since this board (a folder, baseline or bundle). The exit code does "
            "not tell, unlike that of `bench compare`.",
            show_default=False,
        ),
    ] = None,
    across_versions: Annotated[
        bool, typer.Option("--across-versions", help="With --compare: although package versions differ.")
    ] = False,
    without_records: Annotated[
        bool,
        typer.Option(
            "--without-records",
            help="Leave out of the site what shows real records or says who was a member; see docs/publish.md.",
        ),
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Also write a matrix's board as one zip, to pass on.", show_default=False),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            help="Also write the small part of a matrix's board that `bench compare` reads to a folder.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Write leaderboards again without computing anything, or publish several as one site.

    In a site, each board is verified first, as `bench verify` does: exit code 1 if anything is wrong with one.

    Examples:

      bench board matrix.yaml

      bench board matrix.yaml --bundle quickstart.zip

      bench board matrix.yaml --compare results/baseline

      bench board matrix.yaml results/audit theirs.zip --out site --name "Our lab"
    """
    from bench.cli.site import DEFAULT_OUT, check_baseline, check_ready, ended_by_signal, is_matrix, write_site

    matrices = [path for path in results if is_matrix(path)]
    as_site = out is not None or len(results) > 1 or not matrices
    _check_options(len(results), matrices, as_site, name, compare, across_versions, without_records, bundle or baseline)
    _check_once([(path, path) for path in results])
    plans = {path: _planned(path, folder, device) for path in matrices}
    _check_once([(path, plans[path].folder if path in plans else path) for path in results])
    check_baseline(compare, [planned.folder for planned in plans.values()])
    site = out or DEFAULT_OUT
    if as_site:
        check_ready([path for path in results if path not in plans], compare, site)
    with ended_by_signal():
        codes = [_write(planned, None if as_site else compare, across_versions) for planned in plans.values()]
        if bundle is not None or baseline is not None:
            _pass_on(plans[matrices[0]].folder, bundle, baseline)
        if as_site:
            places = [plans[path].folder if path in plans else path for path in results]
            codes.append(write_site(places, site, name, compare, across_versions, without_records))
    sys.exit(1 if 1 in codes else max(codes))


def _check_options(
    count: int,
    matrices: Sequence[Path],
    as_site: bool,
    name: str | None,
    compare: Path | None,
    across_versions: bool,
    without_records: bool,
    passed_on: Path | None,
) -> None:
    """Whether options go together, before anything is written."""
    problems = []
    if passed_on is not None and not (count == len(matrices) == 1):
        problems.append("--bundle, --baseline: expected one matrix, whose board they pass on")
    if across_versions and compare is None:
        problems.append("--across-versions: expected --compare, which it is about")
    if not as_site:
        asked = {"--name": name is not None, "--without-records": without_records}
        problems += [f"{option}: expected a site; give --out" for option, given in asked.items() if given]
    if problems:
        raise InputError(problems)


def _check_once(boards: Sequence[tuple[Path, Path]]) -> None:
    """Whether no board is given twice: each as it was given, and where it lies or is written.

    Two matrices of one name would write to one folder, and the site would show the last of them twice.
    """
    given: dict[Path, Path] = {}
    for path, place in boards:
        if (where := place.resolve()) not in given:
            given[where] = path
        elif given[where] == path:
            raise InputError(f"expected each board once, got {path} given twice")
        else:
            raise InputError(
                f"expected each board once, got {given[where]} and {path}, which are both {place}: leave one out, or "
                "give matrices different names"
            )


def _planned(matrix: Path, results: Path, device: str | None) -> Planned:
    planned = make_plan(matrix, results, device)
    if not any(planned.store.find(step.kind, step.key) for step in planned.plan.steps if step.kind == "train"):
        raise MissingError(f"nothing of {matrix} is stored in {results}: run `bench run {matrix}` first")
    return planned


def _write(planned: Planned, compare: Path | None, across_versions: bool) -> int:
    """Write the results folder of a matrix, with marks where there is a baseline; the exit code."""
    from bench.cli.run import finish
    from bench.cli.site import marking, open_baseline

    with ExitStack() as opened:
        if compare is None:
            return finish(planned)
        return finish(planned, compared=marking(open_baseline(compare, across_versions, opened), str(planned.folder)))


def _pass_on(folder: Path, bundle: Path | None, baseline: Path | None) -> None:
    from bench.board.bundle import write_baseline, write_bundle

    if bundle is not None:
        print(f"The bundle: {bundle} ({write_bundle(folder, bundle)} files)")
    if baseline is not None:
        print(f"The baseline: {baseline} ({write_baseline(folder, baseline)} files)")


def digest(
    folder: Annotated[
        Path, typer.Argument(help="A folder with a board, such as results/quickstart.", show_default=False)
    ],
) -> None:
    """Print one hash of everything that a run found, leaving out what may differ between equal runs (time, memory).

    Examples:

      bench digest results/quickstart
    """
    from bench.board.digest import digest as compute

    if not (folder / "leaderboard.json").is_file():
        raise MissingError(f"{folder}: expected a board there, found none; write one with `bench run` or `bench board`")
    print(compute(folder))
