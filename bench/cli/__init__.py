"""The command line; exit codes: 0 fine, 1 a failed cell, 2 wrong input, 3 something missing, 130 interrupted."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit; an error that the suite raises on purpose is a message, not a traceback."""
    from bench.cli.app import app
    from bench.errors import BenchError

    try:
        app(prog_name="bench")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
