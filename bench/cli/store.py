"""``bench store``: what lies in the store, and cleaning it."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.common import ResultsOption, make_plan
from bench.devices import KINDS
from bench.errors import InputError

app = typer.Typer(help="See and clean the store of computed steps.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def du(results: ResultsOption = Path("results")) -> None:
    """Print how many artifacts of each kind there are and what room they take.

    Examples:

      bench store du
    """
    from bench.store import Store, size_of

    found = Store(results.resolve() / ".store")
    count: Counter[str] = Counter()
    room: Counter[str] = Counter()
    for kind, key in found.entries():
        count[kind] += 1
        room[kind] += size_of(found.folder(kind, key))
    for kind in sorted(count):
        print(f"{kind:10} {count[kind]:6} {room[kind] / 2**20:10.1f} MiB")
    left = found.leftovers()
    print(f"{'all':10} {count.total():6} {room.total() / 2**20:10.1f} MiB")
    if left:
        print(f"{len(left)} temporary folders of interrupted steps, {sum(map(size_of, left)) / 2**20:.1f} MiB")
        print("`bench store gc` removes them")


@app.command()
def gc(
    keep: Annotated[
        list[Path] | None, typer.Argument(help="Matrices whose artifacts are kept.", show_default=False)
    ] = None,
    results: ResultsOption = Path("results"),
    all_: Annotated[bool, typer.Option("--all", help="Remove every artifact.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove damaged artifacts, leftovers of interrupted steps, and everything that the given matrices do not use.

    Without a matrix only damaged artifacts and leftovers go.

    Examples:

      bench store gc

      bench store gc matrix.yaml other.yaml

      bench store gc --all
    """
    from bench.store import Store, in_use, size_of

    if keep and all_:
        raise InputError("expected either matrices to keep or --all, got both")
    found = Store(results.resolve() / ".store")
    used = {
        (step.kind, step.key)
        for matrix in keep or ()
        for device in KINDS  # a run may have asked for another one than the matrix names
        for step in make_plan(matrix, results, device).plan.steps
    }
    doomed = [folder for folder in found.leftovers() if not in_use(folder)]
    for kind, key in found.entries():
        artifact = found.find(kind, key)
        unused = all_ or (bool(keep) and (kind, key) not in used)
        if unused or artifact is None or found.damaged(artifact):
            doomed.append(found.folder(kind, key))
    room = sum(map(size_of, doomed))
    for folder in doomed if not dry_run else ():
        shutil.rmtree(folder)
    print(f"{'would remove' if dry_run else 'removed'} {len(doomed)} folders, {room / 2**20:.1f} MiB")
