"""Which rows answer to each other."""

from __future__ import annotations

import pytest

from bench.compare.matching import match_rows
from bench.compare.side import Place
from bench.errors import InputError


def rows(*defenses: str, target: str = "dcgan") -> list[Place]:
    return [Place("digits", target, defense) for defense in defenses]


def test_rows_of_one_name_are_matched() -> None:
    found = match_rows(rows("none", "dropout", "old"), rows("dropout", "none", "fresh"))
    assert [(a.defense, b.defense) for a, b in found.pairs] == [("dropout", "dropout"), ("none", "none")]
    assert [place.defense for place in found.missing] == ["old"]
    assert [place.defense for place in found.added] == ["fresh"]


def test_a_defense_in_another_data_set_is_another_row() -> None:
    found = match_rows(rows("none"), rows("none", target="vae"))
    assert (found.pairs, len(found.missing), len(found.added)) == ((), 1, 1)


def test_labels_hold_the_divide_themselves() -> None:
    found = match_rows(
        rows("none", "dropout(rate=0.5)"), rows("none", "dropout(rate=0.1)"), ["dropout(rate=0.1)=dropout(rate=0.5)"]
    )
    assert ("dropout(rate=0.5)", "dropout(rate=0.1)") in [(a.defense, b.defense) for a, b in found.pairs]
    assert found.missing == found.added == ()


def test_a_defense_is_matched_in_every_target() -> None:
    base = rows("old") + rows("old", target="vae")
    new = rows("mine") + rows("mine", target="vae") + rows("mine", target="other")
    found = match_rows(base, new, ["mine=old"])
    assert [(a.target, b.target) for a, b in found.pairs] == [("dcgan", "dcgan"), ("vae", "vae")]
    assert [place.target for place in found.added] == ["other"]


def test_whole_rows_may_be_of_different_targets() -> None:
    found = match_rows(rows("none"), rows("none", target="vae"), ["digits/vae/none=digits/dcgan/none"])
    assert found.pairs == ((Place("digits", "dcgan", "none"), Place("digits", "vae", "none")),)


def test_what_is_matched_by_hand_is_not_matched_again_by_name() -> None:
    found = match_rows(rows("dropout"), rows("dropout", "mine"), ["mine=dropout"])
    assert [(a.defense, b.defense) for a, b in found.pairs] == [("dropout", "mine")]
    assert [place.defense for place in found.added] == ["dropout"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mine", "expected NEW=BASE"),
        ("mnie=old", "NEW has no row or defense 'mnie'; did you mean 'mine'"),
        ("mine=odl", "BASE has no row or defense 'odl'; did you mean 'old'"),
        ("a(b=1)=c", "NEW has no row or defense 'a"),
        ("digits/dcgan/mine=digits/vae/late", "BASE has no row"),
    ],
)
def test_what_is_not_there(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        match_rows(rows("old"), rows("mine"), [text])


def test_a_row_is_matched_once() -> None:
    with pytest.raises(InputError, match=r"each row of NEW once, got digits / dcgan / mine"):
        match_rows(rows("old", "older"), rows("mine"), ["mine=old", "mine=older"])


def test_no_place_in_common() -> None:
    with pytest.raises(InputError, match="no data set and target in common"):
        match_rows(rows("old"), rows("mine", target="vae"), ["mine=old"])


def test_two_ways_to_read() -> None:
    with pytest.raises(InputError, match="more than one way"):
        match_rows(rows("c", "b=c"), rows("a", "a=b"), ["a=b=c"])
