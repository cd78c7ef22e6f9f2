"""Files of verdicts, row by row: what is read, and what is refused."""

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.core.spreadsheets import guard
from pipeline.findings.verdict_files import VerdictFile, list_files, read_verdicts
from pipeline.labels.boxes import Box

ID = "0" * 15 + "a"
TILE = {"subject": "tile", "left_px": "1", "top_px": "2", "width_px": "3", "height_px": "4"}


def read(path: Path) -> VerdictFile:
    """Read a file."""
    return read_verdicts(storage.canonical(str(path)))


def write(path: Path, *rows: dict[str, Any], delimiter: str = ",") -> Path:
    """Write rows as CSV, or as JSON by the name."""
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
        return path
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)), delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
    return path


@pytest.mark.parametrize("name", ["verdicts.csv", "verdicts.json"])
def test_what_the_page_saves(name: str, tmp_path: Path) -> None:
    """Every column, as a table and as JSON."""
    row = {
        "image_id": ID,
        "archive": "file:///x.zip",
        "image": "a/b.jpg",
        **TILE,
        "cracks": "3 0",
        "verdict": "no_crack",
    }
    row |= {"comment": "a, b; “c”", "by": "Änn", "judged_at": "2026-11-30T13:00:00+01:00", "pick": "random"}
    row |= {"weight": "12.5", "crack_score": "0.9", "tile": "tiles/1.png"}
    [said] = read(write(tmp_path / name, row)).said
    assert said._replace(where="") == (
        "",
        "no_crack",
        "tile",
        ID,
        "file:///x.zip",
        "a/b.jpg",
        Box(top_px=2, left_px=1, height_px=4, width_px=3),
        (0, 3),
        "a, b; “c”",
        "Änn",
        datetime(2026, 11, 30, 12, tzinfo=UTC),
        "random",
        12.5,
    )
    assert said.where.startswith("row 1 of file:///")


def test_numbers_of_json_are_numbers(tmp_path: Path) -> None:
    """And null is what is missing."""
    row = {
        "image_id": ID,
        "subject": "tile",
        "left_px": 0,
        "top_px": 2.0,
        "width_px": 3,
        "height_px": 4,
        "cracks": [1, 0],
    }
    [said] = read(write(tmp_path / "v.json", row | {"verdict": "crack", "weight": 2, "comment": None})).said
    assert (said.box, said.cracks, said.weight, said.comment) == (Box(2, 0, 4, 3), (0, 1), 2.0, None)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_review_that_was_filled_in(delimiter: str, tmp_path: Path) -> None:
    """Positive or 1, Negative or 0, and ? for what nobody can tell; empty rows are counted."""
    place = {f"photo_{name}": value for name, value in TILE.items() if name != "subject"}
    labels = ("Positive", "1", "NEGATIVE", "0", "?", "", "1.0")
    rows = [{"path": "tiles/1.png", "label": label, "group": ID, "image_id": ID, **place} for label in labels]
    found = read(write(tmp_path / "review.csv", *rows, delimiter=delimiter))
    assert [each.verdict for each in found.said] == ["crack", "crack", "no_crack", "no_crack", "unclear", "crack"]
    assert found.unanswered == 1
    assert {(each.subject, each.box, each.cracks, each.by, each.judged_at) for each in found.said} == {
        ("tile", Box(2, 1, 4, 3), None, None, None)
    }
    assert [each.where.partition(" of ")[0] for each in found.said] == [f"row {n}" for n in (1, 2, 3, 4, 5, 7)]


def test_an_empty_cell_of_cracks_is_none(tmp_path: Path) -> None:
    """A missing column is not known."""
    place = {f"photo_{name}": value for name, value in TILE.items() if name != "subject"}
    [said] = read(write(tmp_path / "review.csv", {"image_id": ID, "label": "1", "cracks": "", **place})).said
    assert said.cracks == ()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).map(str.strip).filter(bool))
def test_guards_against_formulas_are_taken_away(text: str, tmp_path: Path) -> None:
    """Photos whose names would be formulas are found, and comments are as they were said; JSON has no guards."""
    text = text if not text.startswith("'") else f"x{text}"
    row = {"archive": "x.zip", "image": text, "verdict": "crack", "comment": text}
    guarded = {name: guard(value) for name, value in row.items()}
    for path, written in ((tmp_path / "v.csv", guarded), (tmp_path / "v.json", row)):
        [said] = read(write(path, written)).said
        assert (said.image, said.comment) == (text, text)


def test_json_is_taken_at_its_word(tmp_path: Path) -> None:
    """A text that looks guarded stands as it is."""
    [said] = read(write(tmp_path / "v.json", {"image_id": ID, "verdict": "crack", "comment": "'=1"})).said
    assert said.comment == "'=1"


BOX_RULE = "whole pixels from 0 on, width and height at least 1"


@pytest.mark.parametrize(
    ("changes", "found", "expected"),
    [
        ({"verdict": "maybe"}, "The answer is 'maybe'", "crack, no_crack, unclear"),
        ({"subject": "bridge"}, "The subject is 'bridge'", "photo, tile, crack"),
        ({"image_id": ""}, "There is no photo", "its image_id, or its archive and image"),
        ({"left_px": "-1"}, "The box is left_px '-1', top_px '2', width_px '3', height_px '4'", BOX_RULE),
        ({"width_px": "0"}, "The box is left_px '1', top_px '2', width_px '0', height_px '4'", BOX_RULE),
        ({"top_px": "2.5"}, "The box is left_px '1', top_px '2.5', width_px '3', height_px '4'", BOX_RULE),
        ({"top_px": ""}, "The box is left_px '1', top_px '', width_px '3', height_px '4'", BOX_RULE),
        ({"left_px": "9" * 12}, f"The box is left_px '{'9' * 12}', top_px '2', width_px '3', height_px '4'", BOX_RULE),
        ({"cracks": "1 x"}, "The cracks are '1 x'", "numbers of cracks, with blanks between them"),
        ({"subject": "crack", "cracks": "1 2"}, "The cracks are '1 2'", "the number of one crack"),
        ({"judged_at": "yesterday"}, "The time is 'yesterday'", "ISO 8601, such as 2026-11-30T14:05:00Z"),
        ({"judged_at": "30.11.2026 14:05"}, "The time is '30.11.2026 14:05'", "ISO 8601, such as 2026-11-30T14:05:00Z"),
        ({"weight": "heavy"}, "The weight is 'heavy'", "a number over 0, or nothing"),
        ({"weight": "0"}, "The weight is '0'", "a number over 0, or nothing"),
        ({"weight": "nan"}, "The weight is 'nan'", "a number over 0, or nothing"),
    ],
)
def test_a_bad_row_is_named(changes: dict[str, str], found: str, expected: str, tmp_path: Path) -> None:
    """With what was found, what was expected, and where."""
    good = {"image_id": ID, "verdict": "crack", "judged_at": "2026-11-30T14:05:00Z", "weight": "", "cracks": "", **TILE}
    path = write(tmp_path / "v.csv", good, good | changes)
    with pytest.raises(UsageError) as caught:
        read(path)
    where = f"row 2 of {storage.canonical(str(path))}"
    assert str(caught.value) == f"{found} in {where}; expected {expected}. Correct it, and read the file again."


def test_a_time_to_come_is_refused(tmp_path: Path) -> None:
    """It would count as the last one until then; a clock that is a little ahead is none."""
    now = datetime.now(UTC)
    row = {"image_id": ID, "verdict": "crack"}
    assert read(write(tmp_path / "v.csv", row | {"judged_at": (now + timedelta(hours=1)).isoformat()})).said
    with pytest.raises(UsageError, match="ahead of this machine's clock"):
        read(write(tmp_path / "v.csv", row | {"judged_at": (now + timedelta(days=30)).isoformat()}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image_id,answer\na,1\n", "has no column verdict or label; it has image_id, answer."),
        ("image,verdict\na,crack\n", "does not say which photos it is about: it has image, verdict;"),
        ("image_id,verdict,verdict\na,crack,crack\n", "has two columns verdict; expected one."),
        ("image_id,verdict\na,crack,1,2\n", "has more values than the header has columns"),
    ],
)
def test_a_table_that_says_too_little_or_two_things_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """Before its rows are looked at."""
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(UsageError, match=message):
        read(tmp_path / "v.csv")


def test_damaged_json_is_refused(tmp_path: Path) -> None:
    """As a save that was cut off leaves it."""
    (tmp_path / "v.json").write_text('[{"image_id": "a", "verd')
    with pytest.raises(UsageError, match=r"v.json is no JSON: .*Save it again"):
        read(tmp_path / "v.json")


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    """What the page saved into it, and the table that came with it; a place with nothing is refused."""
    for name in ("verdicts.csv", "review.csv", "notes.txt"):
        (tmp_path / name).write_text("")
    assert [storage.name(url) for url in list_files(str(tmp_path))] == ["verdicts.csv", "review.csv"]
    with pytest.raises(UsageError, match="does not exist; expected a file of verdicts"):
        list_files(str(tmp_path / "none.csv"))
