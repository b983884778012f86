"""One line per row in plain words: what a reader may conclude, and what not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bench.board.attack_rows import AttackRow, shown
from bench.board.audit_words import audit_words
from bench.board.equal_kid import equal_kid_words
from bench.board.flags import stretch
from bench.board.quality_words import quality
from bench.board.worst import Worst

if TYPE_CHECKING:
    from bench.board.rows import Row


def verdict(row: Row) -> str:
    """The row in one line: status, worst attack, what was not run, quality, claim."""
    control = "A control of the instrument, not a model." if row.trials[0].control else ""
    leak = (_leak(row), _named_parts(row.attacks), _apart(row.worst), _not_run(row.attacks))
    caveats = row.trials[0].caveats if any(trial.status == "completed" for trial in row.trials) else ()
    parts = [control, _status(row), *leak, quality(row), equal_kid_words(row.equal_kid), claimed(row), *caveats]
    return " ".join(part for part in parts if part)


Short = Literal["leaks", "useless, and leaks", "private because useless", "no leak seen", "not attacked"]


def verdict_in_short(row: Row) -> Short:
    """What the verdict of a row says first."""
    interval = row.interval
    if interval is None:
        return "not attacked"
    if row.raised("quality_gone"):
        return "private because useless" if interval.low <= 0.5 else "useless, and leaks"
    return "leaks" if interval.low > 0.5 else "no leak seen"


def _status(row: Row) -> str:
    if row.status != "completed":
        return f"{row.status.replace('_', ' ').capitalize()}{f': {row.reason}' if row.reason else ''}."
    return f"Some runs are missing here: {row.reason}." if row.reason else ""


def _leak(row: Row) -> str:
    worst, interval = row.worst, row.interval
    if worst is None or interval is None:
        return "" if row.status != "completed" else "No attack was completed, so nothing is known of the leak."
    h, attack = worst.headline, worst.row
    start = {
        "private because useless": "Private because useless:",
        "useless, and leaks": "Useless, and leaks all the same:",
        "leaks": "Leaks:",
        "no leak seen": "No leak of membership told from chance, which proves none:",
    }[verdict_in_short(row)]
    runs = f"{h.seeds} run{'s' if h.seeds > 1 else ''}"
    of = f"the worst of {len(h.attacks)} attacks" if len(h.attacks) > 1 else "the only attack"
    return (
        f"{start} {of}, {h.worst_attack} ({access_words(attack)}), reaches AUC {h.auc:.3f} "
        f"(95 % over {interval.over}: {interval.low:.3f} to {interval.high:.3f}; {runs}); "
        f"{h.members:,} members and {h.nonmembers:,} non-members tell {h.smallest_detectable_auc:.3f} or "
        "more from chance (.5)."
    )


def access_words(attack: AttackRow) -> str:
    """Access and knowledge of an attack, for people."""
    knows = "" if attack.knowledge == "nothing" else f", knows {attack.knowledge.replace('_', ' ')}"
    return f"{attack.access.replace('_', ' ')} access{knows}"


def _named_parts(attacks: tuple[AttackRow, ...]) -> str:
    """The best that was done at naming the part that holds a member, where a defense divides them."""
    named = [(row.attack, row.parts) for row in attacks if row.parts is not None and row.parts.parts > 1]
    if not named:
        return ""
    attack, best = max(named, key=lambda pair: pair[1].accuracy)
    # The best of several: its interval is stretched to hold for all of them at once.
    interval = shown(best.low, best.high, best.seed_low, best.seed_high)
    low = best.accuracy - (best.accuracy - interval.low) * stretch(len(named))
    start = "Leaks who holds a record:" if low > best.chance else "Who holds a record is not told from chance:"
    return (
        f"{start} {attack} names the part of {best.accuracy:.3f} of the members (95 % {interval.low:.3f} to "
        f"{interval.high:.3f}; {best.parts} parts, the largest holds {best.chance:.3f})."
    )


def _apart(worst: Worst | None) -> str:
    """Attacks on other candidates or seeds: they cannot be compared, but are not hidden."""
    if worst is None:
        return ""
    named = [
        f"{row.attack} ({len(row.record_ids):,} candidates, AUC {row.summary.auc:.3f})"
        for row in worst.apart
        if row.summary is not None
    ]
    return f"Not compared, since on other candidates or runs: {', '.join(named)}." if named else ""


def _not_run(attacks: tuple[AttackRow, ...]) -> str:
    missing: dict[str, list[str]] = {}
    for row in attacks:
        if row.summary is None:
            missing.setdefault(row.status.replace("_", " "), []).append(row.attack)
    return " ".join(f"Not run, {status}: {', '.join(named)}." for status, named in missing.items())


def claimed(row: Row) -> str:
    """The claim of the row, that of the seed with the weakest one, and what the audit says of it; "" without any."""
    m = row.measured
    if m["claim_unit"] is None:
        return ""
    if m["epsilon_claimed"] is None:
        return f"No privacy claim: {m['claim_void_reason']}."
    return (
        f"Claims epsilon {m['epsilon_claimed']:.3g} at delta {m['delta']:.3g} per {m['claim_unit']} "
        f"({m['claim_adjacency']}, {m['claim_accountant'].upper()}); {audit_words(row)}"
    )
