"""The commands and their help."""

from __future__ import annotations

import typer

from bench.cli import board, compare, listing, new, plan, run, show, store, verify

app = typer.Typer(
    help=(
        "Does a defense keep a generative model from giving away who was in its training data, and what does it "
        "cost?\n\nCross targets x defenses x attacks as a matrix file says, and read the leaderboard."
    ),
    epilog="Start with: python -m bench run matrix.yaml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("plan")(plan.plan)
app.command("list")(listing.list_plugins)
app.command("show")(show.show)
app.command("board")(board.board)
app.command("verify")(verify.verify)
app.command("compare")(compare.compare)
app.command("digest")(board.digest)
app.command("new")(new.new)
app.add_typer(store.app, name="store")
