"""A comparison as JUnit XML: a test case per row and figure, as CI systems show them.

What is worse is a failure. What is missing or not comparable is an error and not a skipped test, since CI shows skipped
tests as passed, and a gate that did not judge must not pass. A row that only NEW has is skipped.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from bench.compare import words
from bench.compare.findings import Comparison, Status
from bench.compare.printable import printable

_OUTCOME: dict[Status, str] = {
    "worse": "failure",
    "missing": "error",
    "not comparable": "error",
    "new": "skipped",
}

# XML 1.0 section 2.2 has no way to write these, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(comparison: Comparison) -> str:
    """The XML document."""
    outcomes = [_OUTCOME.get(finding.status) for finding in comparison.findings]
    totals = {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
        "skipped": str(outcomes.count("skipped")),
        "time": "0",
    }
    root = ElementTree.Element("testsuites", {"name": "bench compare", **totals})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "bench compare", **totals})
    properties = ElementTree.SubElement(suite, "properties")
    said = {"base": comparison.base_name, "new": comparison.new_name, "summary": words.summary(comparison)}
    for place, note in enumerate(comparison.notes, 1):
        said[f"note {place}"] = note
    for name, value in said.items():
        ElementTree.SubElement(properties, "property", {"name": name, "value": legal(value)})
    for finding, outcome in zip(comparison.findings, outcomes, strict=True):
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {
                # Dots divide packages in a class name, so those of a label would invent some.
                "classname": legal(".".join(part.replace(".", "_") for part in finding.row)),
                "name": legal(finding.figure),
                "time": "0",
            },
        )
        text = legal(f"{words.label(finding)}: {words.sentence(finding)}")
        if outcome is None:
            ElementTree.SubElement(case, "system-out").text = text
        else:
            ElementTree.SubElement(case, outcome, {"message": text, "type": finding.status}).text = text
    if comparison.exit_code and not {"failure", "error"} & set(outcomes):  # a suite without an error is green
        case = ElementTree.SubElement(suite, "testcase", {"classname": "bench", "name": "compare", "time": "0"})
        ElementTree.SubElement(case, "error", {"message": "nothing was judged", "type": "missing"})
        for element in (root, suite):
            element.attrib |= {"tests": str(len(outcomes) + 1), "errors": "1"}
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def legal(text: str) -> str:
    r"""Text that XML can hold: what it cannot is shown as a replacement character.

    >>> legal("a\x00b\x1bc")
    'a\ufffdb\ufffdc'
    """
    return _NOT_XML.sub("\ufffd", printable(text))
