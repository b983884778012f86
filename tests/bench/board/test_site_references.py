from __future__ import annotations

import re
from pathlib import Path

import pytest
from planted_board import results

from bench import registry
from bench.board.site import references
from bench.board.site.downloads import write_downloads
from bench.board.site.references import OWN, bibtex, curated, escaped
from bench.results import Results

HOSTILE = (
    r"Mallory}, title = {fake} \input{/etc/passwd} @article{x, 100 % $a_b^c$ ~ & # <script>" + "\n\n@misc{y,\u2028"
)


def papers() -> dict[str, str]:
    """What the suite's own plugins name, by kind and name."""
    return {
        f"{kind} {name}": paper
        for kind in ("datasets", "targets", "defenses", "attacks")
        for name in registry.names(kind)
        if (paper := registry.get(kind, name).paper)
    }


def naming(*said: str) -> Results:
    entries = [{"name": f"plugin{n}", "summary": "", "paper": paper} for n, paper in enumerate(said)]
    return results((), (), plugins={"attacks": {"planted": entries}})


def parse(text: str) -> list[tuple[str, str, dict[str, str]]]:
    """Entries as BibTeX reads them: nothing between entries, braces counted whatever stands before them."""
    entries, place = [], 0
    while text[place:].strip():
        head = re.compile(r"\s*@([a-z]+)\{([^\s,{}]+),\s*").match(text, place)
        assert head, text[place : place + 80]
        place, fields = head.end(), {}
        while text[place] != "}":
            name = re.compile(r"([a-z]+) = \{").match(text, place)
            assert name, text[place : place + 80]
            start = place = name.end()
            depth = 1
            while depth:
                depth += {"{": 1, "}": -1}.get(text[place], 0)
                place += 1
            assert name[1] not in fields
            fields[name[1]] = text[start : place - 1]
            after = re.compile(r",\s*").match(text, place)
            assert after, text[place : place + 80]
            place = after.end()
        place += 1
        entries.append((head[1], head[2], fields))
    return entries


def parts(paper: str) -> list[str]:
    return [part.strip() for part in paper.split(";")]


@pytest.mark.parametrize("named", papers().items(), ids=lambda named: named[0])
def test_every_part_of_a_plugins_paper_has_an_entry(named: tuple[str, str]) -> None:
    for part in parts(named[1]):
        cited = [source.key for source in curated() if source.named_in(part)]
        if part == OWN:
            assert cited == []
        else:
            assert len(cited) == (2 if "Diffusion Models, USENIX Security 2023, and Matsumoto" in part else 1), (
                part,
                cited,
            )


def test_every_entry_is_named_by_a_plugin_or_behind_the_metrics() -> None:
    said = [part for paper in papers().values() for part in parts(paper)]
    assert [s.key for s in curated() if not s.always and not any(s.named_in(part) for part in said)] == []


def test_year_and_authors_of_a_cited_entry_stand_in_the_paper() -> None:
    """So that no entry is cited for a paper of another year or of other people."""
    for paper in papers().values():
        for part in parts(paper):
            for source in curated():
                if source.named_in(part) and "scikit-learn" not in part and "mlxtend" not in part:
                    fields = dict(source.fields)
                    assert fields["year"] in part or "mixup, ICLR 2018" in part or "Proc. IEEE" in part, part
                    first = fields["author"].split(" and ")[0].strip("{}")
                    assert first in part, (first, part)


def test_the_curated_file_parses_and_its_keys_are_unique_and_sorted() -> None:
    entries = parse(references.CURATED.read_text("utf-8"))
    keys = [key for _, key, _ in entries]
    assert keys == sorted(set(keys))
    assert keys == [source.key for source in curated()]
    for kind, key, fields in entries:
        assert {"author", "year"} <= set(fields), key
        assert re.fullmatch(r"\d{4}", fields["year"]), key
        assert {"article": "journal", "inproceedings": "booktitle"}.get(kind, "author") in fields, key


def test_a_board_cites_what_its_plugins_name_and_what_every_board_rests_on() -> None:
    cited = {key: fields for _, key, fields in parse(bibtex(naming("Ho, Jain and Abbeel, DDIM, ICLR 2021", OWN)))}
    assert set(cited) == {s.key for s in curated() if s.always} | {"song2021denoising"}
    assert cited["song2021denoising"] == {
        "author": "Song and Meng and Ermon",
        "title": "{Denoising Diffusion Implicit Models}",
        "booktitle": "ICLR",
        "year": "2021",
    }


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("after Gal and Ghahramani, Dropout as a Bayesian Approximation, ICML 2016", {"gal2016dropout"}),
        ("Srivastava et al., Dropout, JMLR 2014, section 4", {"srivastava2014dropout"}),
        ("hayes et al.,\n  LOGAN,   PoPETs 2019", {"hayes2019logan"}),
        ("SLOGAN, a paper of somebody else", set()),
        ("Deep Learning with Differential Privacy and Fairness, 2031", set()),
        ("DEEP LEARNING WITH DIFFERENTIAL PRIVACY. 2016", {"abadi2016deep"}),
    ],
)
def test_an_entry_is_known_by_its_whole_title_or_an_alias(said: str, expected: set[str]) -> None:
    assert {source.key for source in curated() if source.named_in(said)} == expected


def test_what_is_not_listed_becomes_a_note_that_stays_in_its_braces() -> None:
    entries = parse(
        bibtex(naming(HOSTILE, "Doe, A paper, 2030; Hayes et al., LOGAN, PoPETs 2019", "Doe, A paper, 2030"))
    )
    notes = [fields for kind, key, fields in entries if key.startswith("unlisted")]
    assert [set(fields) for fields in notes] == [{"note"}, {"note"}]
    assert notes[0] == {"note": "Doe, A paper, 2030"}
    assert "\\input" not in notes[1]["note"]
    assert "\\textbackslash{}input\\textbraceleft{}/etc/passwd\\textbraceright{}" in notes[1]["note"]
    assert len(notes[1]["note"].splitlines()) == 1


@pytest.mark.parametrize("text", ["{", "}", "\\", "}}{{", "a\\", "\x00\x1b[31m", "\ud800", 'say "hello"', HOSTILE])
def test_escaped_text_balances_its_braces_and_holds_no_command(text: str) -> None:
    safe = escaped(text)
    assert parse(f"@misc{{key,\n  note = {{{safe}}},\n}}\n") == [("misc", "key", {"note": safe})]
    commands = set(re.findall(r"\\[a-zA-Z]+", safe))
    named = ("backslash", "braceleft", "braceright", "asciicircum", "asciitilde", "less", "greater", "bar")
    assert commands <= {f"\\text{name}" for name in named}
    assert not re.search(r"(?<!\\)[%&#$_]", safe)
    safe.encode("utf-8")


def test_the_same_plugins_in_another_order_give_the_same_file() -> None:
    said = ["Doe, One, 2030", "Doe, Two, 2030", "Hayes et al., LOGAN, PoPETs 2019"]
    assert bibtex(naming(*said)) == bibtex(naming(*reversed(said), *said))


def test_aliases_are_not_published() -> None:
    for _, _, fields in parse(bibtex(naming(*papers().values()))):
        assert not {"aliases", "always"} & set(fields)


def test_a_damaged_curated_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "references.bib"
    file.write_text("@misc{good,\n  year = {2020},\n}\n\n@misc{bad,\n  year = 2020,\n}\n", "utf-8")
    monkeypatch.setattr(references, "CURATED", file)
    with pytest.raises(ValueError, match=r"a field a line.*bad"):
        references.curated.__wrapped__()


def test_the_matrix_is_passed_on_byte_for_byte(tmp_path: Path) -> None:
    matrix = "name: ä\r\nseeds: 2\n# end without a line end"
    write_downloads(results((), (), matrix_text=matrix), tmp_path)
    assert (tmp_path / "matrix.yaml").read_bytes() == matrix.encode("utf-8")
    assert parse((tmp_path / "references.bib").read_text("utf-8"))
