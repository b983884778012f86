"""The sources of a board as BibTeX: those that its plugins name, and those of the instrument itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.results import Results

CURATED = Path(__file__).parents[1] / "references.bib"
"""The papers that the suite's own plugins and metrics name, an entry each.

Besides fields of BibTeX an entry may have ``aliases``, separated by semicolons: what a plugin's ``paper`` may call it
instead of by its title; and ``always = {yes}`` for what every board uses. Neither is published.
"""

OWN = "the suite's own"
"""How a plugin says that it comes from no paper."""

_ESCAPED = {
    "\\": r"\textbackslash{}",
    # Not "\{": BibTeX counts braces whether or not a backslash stands before them.
    "{": r"\textbraceleft{}",
    "}": r"\textbraceright{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{each: rf"\{each}" for each in "$&%#_"},
}


@dataclass(frozen=True)
class Source:
    """A curated entry.

    Attributes:
        kind: ``article``, ``inproceedings`` and so on.
        fields: to publish, as they stand between braces.
        aliases: what else it is called.
        always: whether every board rests on it.
    """

    kind: str
    key: str
    fields: tuple[tuple[str, str], ...]
    aliases: tuple[str, ...]
    always: bool

    def named_in(self, text: str) -> bool:
        """Whether a plugin's ``paper`` names it: by its title as a whole, or by an alias."""
        title = dict(self.fields).get("title", "").strip("{}")
        # A longer title may begin with a shorter one: "Dropout" and "Dropout as a Bayesian Approximation".
        whole = title and re.search(rf"(?<![\w-]){re.escape(_plain(title))}(?=\s*(?:[^\w\s]|$))", _plain(text))
        return bool(whole) or any(
            re.search(rf"(?<![\w-]){re.escape(_plain(alias))}(?![\w-])", _plain(text)) for alias in self.aliases
        )


def bibtex(results: Results) -> str:
    """The content of ``references.bib``: the same for the same plugins, ordered by key.

    What a plugin names and the suite has no entry for becomes a ``@misc`` with the plugin's words as its note.
    """
    sources, parts = curated(), list(paper_parts(results))
    cited = [s for s in sources if s.always or any(s.named_in(part) for part in parts)]
    unknown = sorted({part for part in parts if not _own(part) and not any(s.named_in(part) for s in sources)})
    entries = [_entry(s.kind, s.key, s.fields) for s in cited]
    entries += [
        _entry("misc", f"unlisted{number}", (("note", escaped(part)),)) for number, part in enumerate(unknown, start=1)
    ]
    return "\n".join(entries)


def paper_parts(results: Results) -> Iterator[str]:
    """What the board's plugins name as their sources, a paper at a time."""
    for named in results.plugins.values():
        for plugins in named.values():
            for plugin in plugins:
                parts = (" ".join(part.split()) for part in plugin.get("paper", "").split(";"))
                yield from (part for part in parts if part)


@cache
def curated() -> tuple[Source, ...]:
    """The curated entries, by key.

    Raises:
        ValueError: the file is not as this reader expects it: a field a line, and nothing between entries.
    """
    sources = []
    for block in CURATED.read_text(encoding="utf-8").split("\n\n"):
        lines = block.strip().splitlines()
        head = re.fullmatch(r"@(\w+)\{([a-z0-9]+),", lines[0])
        fields = [re.fullmatch(r"  (\w+) = \{(.+)\},", line) for line in lines[1:-1]]
        if head is None or lines[-1] != "}" or not all(fields):
            raise ValueError(f"{CURATED.name}: expected an entry with a field a line, got {block!r}")
        values = {found[1]: found[2] for found in fields if found}
        aliases = tuple(alias.strip() for alias in values.pop("aliases", "").split(";") if alias.strip())
        always = values.pop("always", "") == "yes"
        sources.append(Source(head[1], head[2], tuple(values.items()), aliases, always))
    return tuple(sources)


def escaped(text: str) -> str:
    """``text`` as LaTeX text in one line: no command, and no brace that BibTeX would count.

    >>> escaped("50 % {x} \\\\input")
    '50 \\\\% \\\\textbraceleft{}x\\\\textbraceright{} \\\\textbackslash{}input'
    """
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return "".join(_ESCAPED.get(each, each) for each in line)


def _entry(kind: str, key: str, fields: tuple[tuple[str, str], ...]) -> str:
    return f"@{kind}{{{key},\n" + "".join(f"  {name} = {{{value}}},\n" for name, value in fields) + "}\n"


def _own(part: str) -> bool:
    return _plain(part).startswith(OWN)


def _plain(text: str) -> str:
    """For comparison: in lower case, with single spaces."""
    return " ".join(text.split()).casefold()
