"""The errors of the suite, named after what their reader can do about them.

Every message says what was expected, what came, where, and what to do next. ``exit_code`` is what the command
line returns for it.
"""

from __future__ import annotations

from collections.abc import Sequence


class BenchError(Exception):
    """Base of all errors that the suite raises on purpose."""

    exit_code = 1


class InputError(BenchError):
    """The user's input is wrong: mend the matrix, the files or the command line (exit code 2).

    Args:
        problems: one message, or all that were found; they are shown together.
    """

    exit_code = 2

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class MissingFilesError(InputError):
    """A data set's files are not on this machine: get them, or do without the data set.

    The message says where they were looked for and how to get them. Planning goes on with the other data sets.
    """


class MissingError(BenchError):
    """Something that should have been there is not: run the step that makes it first (exit code 3)."""

    exit_code = 3


class AccessError(BenchError):
    """An attack touched more of a release than the access that it declares: declare it, or do without."""


class IncompatibleError(BenchError):
    """A target and a defense cannot be trained together; the message is the reason shown in the plan."""


class PluginError(BenchError):
    """A plugin returned something that breaks its contract: mend the plugin."""


class StoreError(BenchError):
    """An artifact in the store is damaged or does not hold what its manifest says: it is made again."""
