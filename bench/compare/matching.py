"""Which row of one board answers to which row of the other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from bench.compare.side import Place
from bench.errors import InputError


@dataclass(frozen=True)
class Matched:
    """The rows of two boards.

    Attributes:
        pairs: (row of BASE, row of NEW) that are compared, in the order of NEW.
        missing: rows of BASE that NEW lacks.
        added: rows of NEW that BASE lacks.
    """

    pairs: tuple[tuple[Place, Place], ...]
    missing: tuple[Place, ...]
    added: tuple[Place, ...]


def match_rows(base: Collection[Place], new: Collection[Place], renamed: Sequence[str] = ()) -> Matched:
    """Rows by data set, target and defense, and those of ``renamed`` by what they are called there.

    Args:
        base, new: the rows of each board.
        renamed: ``NEW=BASE``, each a defense (in every data set and target) or a row ``dataset/target/defense``. A name
            given here is no longer matched by being equal.

    Raises:
        InputError: one of ``renamed`` names what is not there, can be read in two ways, or a row of NEW twice.
    """
    problems: list[str] = []
    partner: dict[Place, Place] = {}
    for text in renamed:
        found = _renamed(text, base, new)
        if isinstance(found, str):
            problems.append(found)
            continue
        twice = sorted(str(place) for place in found if place in partner)
        if twice:
            problems.append(f"--match {text}: expected each row of NEW once, got {', '.join(twice)} again")
        partner |= found
    if problems:
        raise InputError(problems)
    taken = set(partner.values())
    for place in new:
        if place not in partner and place in base and place not in taken:
            partner[place] = place
    used = set(partner.values())
    return Matched(
        pairs=tuple((partner[place], place) for place in new if place in partner),
        missing=tuple(place for place in base if place not in used),
        added=tuple(place for place in new if place not in partner),
    )


def _renamed(text: str, base: Collection[Place], new: Collection[Place]) -> dict[Place, Place] | str:
    """Row of NEW -> row of BASE, or what is wrong. Labels hold '=' themselves, so every one may be the divide."""
    from bench.registry import did_you_mean

    names = _names(base), _names(new)
    cuts = [place for place, letter in enumerate(text) if letter == "="]
    fits = [(text[:cut], text[cut + 1 :]) for cut in cuts]
    known = [(ours, theirs) for ours, theirs in fits if ours in names[1] and theirs in names[0]]
    if not cuts:
        return f"--match {text}: expected NEW=BASE, such as --match 'dropout(rate=0.1)=dropout'"
    if len(known) != 1:
        left, right = fits[0] if len(fits) == 1 else _likeliest(fits, names[0], names[1])
        wrong = [
            f"{side} has no row or defense {word!r}{did_you_mean(word, table)}"
            for side, word, table in (("NEW", left, names[1]), ("BASE", right, names[0]))
            if word not in table
        ]
        return f"--match {text}: {'; '.join(wrong) or 'it can be read in more than one way: name whole rows'}"
    ours, theirs = known[0]
    rows = {"/".join(place) for place in (*base, *new)}
    if {ours, theirs} <= rows:  # two whole rows may lie in different data sets or targets
        return {names[1][ours][0]: names[0][theirs][0]}
    at = {other[:2]: other for other in names[0][theirs]}
    pairs = {place: at[place[:2]] for place in names[1][ours] if place[:2] in at}
    return pairs or f"--match {text}: the two have no data set and target in common"


def _names(rows: Collection[Place]) -> Mapping[str, list[Place]]:
    """Every way to name rows: by defense, or a single one in full."""
    names: dict[str, list[Place]] = {}
    for place in rows:
        names.setdefault(place.defense, []).append(place)
        names.setdefault("/".join(place), []).append(place)
    return names


def _likeliest(
    fits: Sequence[tuple[str, str]], base: Mapping[str, object], new: Mapping[str, object]
) -> tuple[str, str]:
    """The reading of which one half is known, else the one that divides between brackets."""
    half = [fit for fit in fits if fit[0] in new or fit[1] in base]
    balanced = [fit for fit in fits if fit[0].count("(") == fit[0].count(")")]
    return (half or balanced or list(fits))[0]
