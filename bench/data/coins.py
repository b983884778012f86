"""Membership by coins, for audits that certify: chance alone decides which of the audit records are trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.rng import RecordRng

if TYPE_CHECKING:
    from bench.data.split import SplitRequest


def refuse_without_coins(request: SplitRequest) -> None:
    """Without coins these options would weaken a comparison that they cannot help.

    Raises:
        InputError: one of them is set all the same.
    """
    if request.membership == "coin":
        return
    problems = []
    if request.always:
        problems.append(
            "always: expected `membership: coin` beside it: on a fixed split all members are trained on always, and "
            "records that are trained on and never judged are what `more_data` adds"
        )
    if request.canaries != "none":
        problems.append(
            f"canaries: expected `membership: coin` beside `{request.canaries}`: canaries stand for no real record, so "
            "they serve an audit of the training alone, and only coins certify one"
        )
    if problems:
        raise InputError(problems)


def toss(
    ids: dict[str, NDArray[np.int64]], given: Mapping[str, NDArray[np.int64]], seed: int
) -> tuple[dict[str, NDArray[np.int64]], int]:
    """Let each audit record join by its own fair coin (Steinke, Nasr and Jagielski, NeurIPS 2023, algorithm 1).

    Args:
        ids: role -> record ids, whose members and non-members are the audit records.
        given: the roles that come from files.
        seed: of the split; a record's coin is drawn by its id, whoever else is there.

    Returns:
        The roles as the coins say, and the number of members that is public: half the pool.

    Raises:
        InputError: members or non-members are files, or not as many as each other.
    """
    if set(given) & {"members", "nonmembers"}:
        raise InputError(
            "membership: coin decides by chance who is a member, so members and nonmembers cannot be files"
        )
    if len(ids["members"]) != len(ids["nonmembers"]):
        raise InputError(
            "membership: coin expects as many members as nonmembers (together they are the audit records, and half "
            f"of them is expected to join), got {len(ids['members'])} and {len(ids['nonmembers'])}"
        )
    pool = np.sort(np.concatenate([ids["members"], ids["nonmembers"]]))
    joins = RecordRng(seed, "coin").uniform(pool) < 0.5
    return {**ids, "members": pool[joins], "nonmembers": pool[~joins]}, len(pool) // 2
