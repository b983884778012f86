"""Terminal, Markdown, JSON and JUnit, with labels that want to break them."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest
from planted_comparison import Row, board, changed

from bench.compare.findings import Comparison, Finding
from bench.compare.render_json import render_json
from bench.compare.render_junit import render_junit
from bench.compare.render_md import render_md
from bench.compare.render_text import render_text
from bench.compare.run import compare_boards
from bench.compare.side import Place

NASTY = "x|y<script>[bold]`@me` $a$ https://x.y"


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    base = changed(board({"none": Row(0.9), NASTY: Row(0.55), "gone": Row()}, [0, 1], 0, 60, 100))
    new = changed(board({"none": Row(0.9), NASTY: Row(0.95), "fresh": Row()}, [0, 1], 1, 60, 100))
    new.payload["stamp"]["packages"]["torch"] = "9.9"
    return compare_boards(base, new, across_versions=True, names=("a|b", "c`d"))


def test_text_ends_with_the_verdict_and_starts_with_the_notes(comparison: Comparison) -> None:
    text = render_text(comparison, width=200)
    assert text.startswith("Compared ACROSS VERSIONS")
    assert text.rstrip().splitlines()[-1] == "WORSE: 1 worse, 1 missing, 7 same, 1 new."
    assert "Compared by default: auc:+0.02,kid:+5%" in text
    assert "[bold]" in text, "labels are data"
    assert "worse: digits / dcgan / x|y<script>" in text
    assert "missing: digits / dcgan / gone: NEW has no such row." in text
    assert "\x1b[1;31m" not in text
    assert "\x1b[" in render_text(comparison, colour=True)


def test_markdown_has_the_verdict_first_and_what_is_worse_on_top(comparison: Comparison) -> None:
    text = render_md(comparison)
    lines = text.splitlines()
    assert lines[0] == "**WORSE: 1 worse, 1 missing, 7 same, 1 new.**"
    assert lines[2].startswith("> Compared ACROSS VERSIONS")
    table = [line for line in lines if line.startswith("|")]
    assert table[2].endswith("| **worse** |")
    assert text.index("- **worse**") < text.index("<details>")
    assert text.count("<details>") == text.count("</details>") == 3
    sentence = next(line for line in lines if line.startswith("- **worse**"))
    assert re.search(
        r"auc 0\.\d{3} -&gt; 0\.\d{3}, changed by \+0\.\d{3} \(95 % \+0\.\d{3} to \+0\.\d{3}; 2/2 runs\)", sentence
    )
    assert "+0.020 allowed" in sentence


def test_markdown_cells_hold_their_text(comparison: Comparison) -> None:
    text = render_md(comparison)
    assert "<script>" not in text
    assert not re.search(r"@me|://|\$", text)
    for line in text.splitlines():
        if line.startswith("| digits"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (6, 11), line


def test_json_holds_numbers(comparison: Comparison) -> None:
    found = json.loads(render_json(comparison))
    assert (found["format"], found["exit_code"], found["base"]) == (1, 1, "a|b")
    assert found["counts"] == {"worse": 1, "missing": 1, "not comparable": 0, "better": 0, "same": 7, "new": 1}
    worst = found["findings"][0]
    assert (worst["defense"], worst["figure"], worst["status"]) == (NASTY, "auc", "worse")
    assert worst["difference"] == pytest.approx(worst["new"] - worst["base"])
    assert worst["low"] < worst["difference"] < worst["high"]
    assert worst["new"] == pytest.approx(sum(worst["new_runs"]) / 2)
    assert 0 < worst["p"] < 0.05
    assert worst["tolerance"] == 0.02
    assert worst["detectable"] > 0.02
    assert len(worst["attacks"]) == 4
    gone = next(each for each in found["findings"] if each["defense"] == "gone")
    assert [gone[name] for name in ("base", "new", "low", "p", "base_runs")] == [None] * 5
    assert found["fail_on"][1] == {"figure": "kid", "better": "lower", "tolerance": 0.05, "percent": True}


def test_junit_is_xml_with_a_case_per_row_and_figure(comparison: Comparison) -> None:
    root = ElementTree.fromstring(render_junit(comparison).encode())
    cases = root.findall("testsuite/testcase")
    assert len(cases) == len(comparison.findings) == int(root.attrib["tests"])
    kinds = [[child.tag for child in case] for case in cases]
    assert (kinds.count(["failure"]), kinds.count(["error"]), kinds.count(["skipped"])) == (1, 1, 1)
    assert [root.attrib[name] for name in ("failures", "errors", "skipped")] == ["1", "1", "1"]
    assert "ACROSS VERSIONS" in ElementTree.tostring(root, encoding="unicode")
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None
    assert "changed by +0." in failure.attrib["message"]


def test_no_control_character_is_shown() -> None:
    text = "a\x1b[31m\x07\x9b\u202eb"
    finding = Finding(Place(text, text, text), None, text, "worse", text)
    made = Comparison(text, text, (finding,), (), True, (text,))
    for shown in (render_text(made), render_md(made), render_junit(made), render_json(made)):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)


def test_what_was_not_judged_is_not_green() -> None:
    same = Finding(Place("a", "b", "c"), Place("a", "b", "c"), "status", "same", "diverged in both")
    made = Comparison("a", "b", (same,), (), True)
    root = ElementTree.fromstring(render_junit(made).encode())
    assert (made.exit_code, root.attrib["errors"], root.attrib["tests"]) == (3, "1", "2")


def test_an_empty_comparison_is_not_green() -> None:
    empty = Comparison("a", "b", (), (), True)
    root = ElementTree.fromstring(render_junit(empty).encode())
    assert (root.attrib["errors"], len(root.findall("testsuite/testcase/error"))) == ("1", 1)
    assert render_md(empty).startswith("**NOT JUDGED: nothing was compared.**")
    assert empty.exit_code == 3
