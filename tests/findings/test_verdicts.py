"""Verdicts go into a dataset: once, on the right places, and none is lost."""

import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.beside import VERDICTS
from pipeline.dataset.commit_log import read_table
from pipeline.dataset.compact import compact
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.sql import query
from pipeline.dataset.verify import verify
from pipeline.findings.verdict_places import OTHER_CRACK, OTHER_NAME, OVER_EDGE, UNKNOWN
from pipeline.findings.verdicts import Conflict, count_findings, record
from tests.helpers.small_dataset import COMMITS, address, image_id, ok, with_cracks, write_dataset

A, BB, CCC = (address(name) for name in ("a.jpg", "bb.jpg", "ccc.jpg"))
PHOTO = ("image_id", "archive", "image")
NOON = "2026-11-30T12:00:00Z"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Photos a.jpg with the cracks 0, 1 and 2, bb.jpg with none, ccc.jpg with the crack 0; two others failed."""
    return write_dataset(str(tmp_path / "out"))


def row(photo: Mapping[str, Any], answer: str, **others: object) -> dict[str, object]:
    """A verdict as the page saves it."""
    said: dict[str, object] = {name: photo[name] for name in PHOTO if name in photo}
    return said | {"verdict": answer, "by": "ann", "judged_at": NOON} | others


def box(left_px: int, top_px: int, width_px: int, height_px: int) -> dict[str, object]:
    """The columns of a box."""
    return {"left_px": left_px, "top_px": top_px, "width_px": width_px, "height_px": height_px}


def save(tmp_path: Path, *rows: Mapping[str, object], name: str = "verdicts.json") -> str:
    """Save verdicts as the page does."""
    (tmp_path / name).write_text(json.dumps(rows))
    return str(tmp_path / name)


def stored(layout: Layout) -> list[dict[str, Any]]:
    """All verdicts, in the order of their times."""
    return query(layout.url, 'FROM verdicts ORDER BY judged_at, image, "by", left_px').to_pylist()


def findings(layout: Layout) -> dict[tuple[str, int | None], str]:
    """The state of each finding, by photo and crack."""
    found = query(layout.url, "SELECT image, crack, state FROM findings").to_pylist()
    return {(each["image"], each["crack"]): each["state"] for each in found}


def test_verdicts_become_findings(layout: Layout, tmp_path: Path) -> None:
    """Of a crack, a tile and a photo, each with who said it, when and why; nothing else in the dataset changes."""
    before = {path: path.read_bytes() for path in storage.local_path(layout.url).rglob("*") if path.is_file()}
    made = record(
        layout.url,
        [
            save(
                tmp_path,
                row(A, "crack", subject="crack", cracks=[1], comment="wide\nand deep"),
                row(BB, "unclear", subject="tile", **box(0, 0, 40, 40)),
                row(CCC, "no_crack", subject="photo"),
            )
        ],
    )
    assert (made.added, made.known, made.unanswered, made.not_counting, made.conflicts) == (3, 0, 0, {}, [])
    assert findings(layout)["a.jpg", 1] == "confirmed"
    assert findings(layout)["bb.jpg", None] == "unclear"
    assert findings(layout)["ccc.jpg", 0] == "rejected"
    assert count_findings(layout.url) == {"confirmed": 1, "open": 2, "unclear": 1, "rejected": 1}
    of_a, of_bb, of_ccc = stored(layout)
    assert (of_a["comment"], of_a["by"], of_a["cracks"], of_a["left_px"]) == ("wide\nand deep", "ann", [1], 5)
    assert (of_bb["cracks"], of_ccc["cracks"]) == ([], None)
    assert all(each["is_last"] and each["is_current"] for each in stored(layout))
    assert {path: path.read_bytes() for path in before} == before
    assert made.url is not None
    assert read_table(made.url).schema.equals(VERDICTS)
    assert not any(check.broken for check in verify(layout.url, lambda _done, _total: None))


def test_a_file_that_is_read_twice_adds_nothing(layout: Layout, tmp_path: Path) -> None:
    """Nor does a copy of it; a verdict that comes later is added, and counts."""
    first = save(tmp_path, row(A, "crack"), row(BB, "crack"))
    copy = save(tmp_path, row(A, "crack"), row(BB, "crack"), name="copy.json")
    assert record(layout.url, [first, copy]).added == 2
    again = record(layout.url, [copy])
    assert (again.url, again.added, again.known) == (None, 0, 2)
    assert len(storage.list_files(storage.join(layout.url, "verdicts"))) == 1
    later = save(tmp_path, row(A, "no_crack", judged_at="2026-11-30T14:00:00+01:00"), name="later.json")
    assert record(layout.url, [later]).added == 1
    assert findings(layout)["a.jpg", 0] == "rejected"
    assert [(each["image"], each["verdict"], each["is_last"]) for each in stored(layout)] == [
        ("a.jpg", "crack", False),
        ("bb.jpg", "crack", True),
        ("a.jpg", "no_crack", True),
    ]


def test_a_table_that_grows_adds_what_is_new(layout: Layout, tmp_path: Path) -> None:
    """Rows without times are as old as their file: filled in bit by bit, changed and changed back, never twice."""
    place, states = tmp_path / "review.csv", []
    for age, answers in enumerate((("1", ""), ("1", "0"), ("0", "0"), ("1", "0"), ("1", "0"))):
        lines = [f"{photo['image_id']},{answer},0,0,40,40" for photo, answer in zip((A, BB), answers, strict=True)]
        head = "image_id,label,photo_left_px,photo_top_px,photo_width_px,photo_height_px"
        place.write_text("\n".join([head, *lines]))
        os.utime(place, (1_700_000_000 + age, 1_700_000_000 + age))
        made = record(layout.url, [str(place)], "ann")
        states.append((made.added, made.unanswered, findings(layout)["a.jpg", 0]))
    assert states == [
        (1, 1, "confirmed"),
        (1, 0, "confirmed"),
        (1, 0, "rejected"),
        (1, 0, "confirmed"),
        (0, 0, "confirmed"),
    ]


def test_two_people_merge(layout: Layout, tmp_path: Path) -> None:
    """The last one counts whatever the order of the files, and who differs is told."""
    ann = save(tmp_path, row(A, "crack", judged_at="2026-11-30T13:00:00Z"), row(BB, "crack"), name="ann.json")
    bob = save(tmp_path, row(A, "no_crack", by="bob"), row(BB, "crack", by="bob"), name="bob.json")
    record(layout.url, [ann])
    made = record(layout.url, [bob])
    assert made.added == 2
    assert made.conflicts == [Conflict("a.jpg", [("bob", "no_crack"), ("ann", "crack")])]
    assert findings(layout)["a.jpg", 0] == "confirmed"
    agreed = save(tmp_path, row(A, "crack", by="bob", judged_at="2026-11-30T14:00:00Z"), name="agreed.json")
    assert record(layout.url, [agreed]).conflicts == []


def test_people_add_at_once_and_while_a_run_writes(layout: Layout, tmp_path: Path) -> None:
    """No lease is needed: eight at a time lose nothing, and two with one file add it once for all who look."""
    files = [save(tmp_path, row(A, "crack", by=f"p{n // 2}"), name=f"{n}.json") for n in range(8)]
    with hold(layout, "run", lambda _holder: None), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda file: record(layout.url, [file]), files))
    assert [each["by"] for each in stored(layout)] == ["p0", "p1", "p2", "p3"]


def test_photos_are_found_by_archive_and_name(layout: Layout, tmp_path: Path) -> None:
    """Where a file has no ids."""
    named = {name: A[name] for name in ("archive", "image")}
    record(layout.url, [save(tmp_path, row(named, "crack"))])
    assert [(each["image_id"], each["is_current"]) for each in stored(layout)] == [(A["image_id"], True)]


def test_cracks_of_a_tile_are_found(layout: Layout, tmp_path: Path) -> None:
    """By their lines, which begin at x = 0, 5 and 10 and end 20 further; what the file says goes first."""
    said = [
        row(A, "crack", subject="tile", **box(0, 0, 4, 20)),
        row(A, "crack", subject="tile", **box(6, 0, 3, 20)),
        row(A, "crack", subject="tile", **box(100, 0, 9, 9)),
        row(A, "crack", subject="tile", cracks="2", **box(200, 0, 9, 9)),
        row(A, "crack", subject="tile", cracks="7", **box(29, 0, 9, 9)),
    ]
    record(layout.url, [save(tmp_path, *said)])
    found = {each["left_px"]: each["cracks"] for each in stored(layout)}
    assert found == {0: [0], 6: [0, 1], 100: [], 200: [2], 29: [2]}


@pytest.mark.parametrize(
    ("said", "reason", "image"),
    [
        (row({"image_id": "f" * 16, "image": "gone.jpg"}, "crack"), UNKNOWN, "gone.jpg"),
        (row({"archive": "file:///x.zip", "image": "gone.jpg"}, "crack"), UNKNOWN, "gone.jpg"),
        (row(A | {"image": "bb.jpg"}, "crack"), OTHER_NAME, "bb.jpg"),
        (row(A | {"archive": "file:///x.zip"}, "crack"), OTHER_NAME, "a.jpg"),
        (row(A, "crack", subject="tile", **box(300, 0, 11, 20)), OVER_EDGE, "a.jpg"),
        (row(A, "crack", subject="crack", cracks=[3]), OTHER_CRACK, "a.jpg"),
        (row(A, "crack", subject="crack", cracks=[2], **box(0, 0, 9, 9)), OTHER_CRACK, "a.jpg"),
    ],
)
def test_what_does_not_fit_is_told_and_kept(
    said: dict[str, object], reason: str, image: str, layout: Layout, tmp_path: Path
) -> None:
    """It does not count, and takes no place from a verdict that does."""
    record(layout.url, [save(tmp_path, row(A, "no_crack", judged_at="2026-11-29T12:00:00Z"), name="first.json")])
    made = record(layout.url, [save(tmp_path, said)])
    assert (made.added, made.not_counting) == (1, {reason: (image,)})
    assert findings(layout)["a.jpg", 0] == "rejected"
    kept = stored(layout)[-1]
    assert (kept["image"], kept["verdict"], kept["scored_at"], kept["is_current"]) == (image, "crack", None, False)


def test_a_photo_that_comes_later_is_judged_by_the_same_file(layout: Layout, tmp_path: Path) -> None:
    """The verdict is added once more when its photo is there, and counts then."""
    late = address("dddd.jpg")
    file = save(tmp_path, row({name: late[name] for name in ("archive", "image")}, "crack"))
    assert record(layout.url, [file]).not_counting == {UNKNOWN: ("dddd.jpg",)}
    other = write_dataset(str(tmp_path / "both"), [*COMMITS, [with_cracks(ok("dddd.jpg"), 1)]])
    for each in storage.list_files(storage.join(layout.url, "verdicts")):
        storage.write_whole(storage.join(other.url, "verdicts", each.path), storage.read_bytes(each.url))
    assert findings(other)["dddd.jpg", 0] == "open"
    made = record(other.url, [file])
    assert (made.added, made.not_counting) == (1, {})
    assert findings(other)["dddd.jpg", 0] == "confirmed"
    assert record(other.url, [file]).added == 0


def test_a_photo_that_is_scored_anew_is_not_judged_by_an_old_file(tmp_path: Path) -> None:
    """Reading the file again changes nothing: it is about the picture that was there."""
    old = write_dataset(str(tmp_path / "old"), [[with_cracks(ok("a.jpg"), 1)]])
    file = save(tmp_path, row(A, "crack"))
    record(old.url, [file])
    new = write_dataset(str(tmp_path / "new"), [[with_cracks(ok("a.jpg", after_s=60), 1)]])
    for each in storage.list_files(storage.join(old.url, "verdicts")):
        storage.write_whole(storage.join(new.url, "verdicts", each.path), storage.read_bytes(each.url))
    assert record(new.url, [file]).added == 0
    assert findings(new) == {("a.jpg", 0): "open"}


def test_two_photos_of_one_name_need_an_id(tmp_path: Path) -> None:
    """An archive may hold a name twice; nobody guesses."""
    first = with_cracks(ok("a.jpg"), 0)
    layout = write_dataset(str(tmp_path / "out"), [[first, first | {"occurrence": 1, "image_id": "e" * 16}]])
    file = save(tmp_path, row({name: A[name] for name in ("archive", "image")}, "crack"))
    with pytest.raises(
        UsageError, match=r"has 2 photos called a.jpg, and row 1 of .* does not tell which. Give its image_id"
    ):
        record(layout.url, [file])
    assert stored(layout) == []


def test_somebody_must_have_judged(layout: Layout, tmp_path: Path) -> None:
    """A row's own name goes before that of the command."""
    file = save(tmp_path, row(A, "crack"), row(BB, "crack", by=""))
    with pytest.raises(
        UsageError, match=r"Nobody is named in row 2 of .*verdicts.json as the one who judged. Give --by"
    ):
        record(layout.url, [file])
    record(layout.url, [file], "bob")
    assert {each["image"]: each["by"] for each in stored(layout)} == {"a.jpg": "ann", "bb.jpg": "bob"}


def test_a_bad_row_leaves_the_dataset_as_it_is(layout: Layout, tmp_path: Path) -> None:
    """All files are read before any verdict is added."""
    good, bad = save(tmp_path, row(A, "crack"), name="good.json"), save(tmp_path, row(A, "maybe"), name="bad.json")
    with pytest.raises(UsageError):
        record(layout.url, [good, bad])
    assert not storage.exists(storage.join(layout.url, "verdicts"))


def test_files_without_an_answer_are_refused(layout: Layout, tmp_path: Path) -> None:
    """Says how many rows there are, and what to do."""
    (tmp_path / "review.csv").write_text(f"image_id,label\n{image_id('x', 'y')},\n")
    with pytest.raises(
        UsageError, match=r"There is no verdict in .*review.csv: 1 rows have no answer. Write Positive or 1"
    ):
        record(layout.url, [str(tmp_path / "review.csv")], "ann")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1), who=st.text(min_size=1).filter(str.strip))
def test_any_words_come_back(text: str, who: str, layout: Layout, tmp_path: Path) -> None:
    """Comments and names of people, whatever their characters, but for blanks around them."""
    who = who.encode("utf-8", "replace").decode()
    file = save(tmp_path, row(A, "crack", comment=text, by=who))
    record(layout.url, [file])
    assert (text.strip() or None, who.strip()) in {(each["comment"], each["by"]) for each in stored(layout)}


def test_a_compact_copy_has_the_verdicts(layout: Layout, tmp_path: Path) -> None:
    """They count there as in the dataset, and those that are added there stay when it is made anew."""
    record(layout.url, [save(tmp_path, row(A, "no_crack"))])
    new = compact(layout.url, str(tmp_path / "compact"), 1 << 20, lambda _done, _total: None).url
    assert findings(Layout(new)) == findings(layout)
    record(new, [save(tmp_path, row(CCC, "crack", by="bob"), name="b.json")])
    record(layout.url, [save(tmp_path, row(A, "crack", judged_at="2026-11-30T13:00:00Z"), name="c.json")])
    compact(layout.url, new, 1 << 20, lambda _done, _total: None, overwrite=True)
    found = findings(Layout(new))
    assert (found["a.jpg", 0], found["ccc.jpg", 0]) == ("confirmed", "confirmed")
    assert not any(check.broken for check in verify(new, lambda _done, _total: None))
    assert pa.compute.count(query(new, "FROM verdicts")["verdict_id"]).as_py() == 3
