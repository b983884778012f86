"""The instrument: matrix, plan, steps, store, attacks, metrics, board and command line.

Importing this package imports neither torch nor pandas nor distributed; modules that need them say so.
"""

from bench.version import __version__

__all__ = ["__version__"]
