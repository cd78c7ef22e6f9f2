"""Units of reading: together they are the plan, and each is bounded; a unit read gives every photo once."""

import json
import os
import zipfile
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import storage
from pipeline.archives.listing import Listing, decode_listing, entry_of
from pipeline.archives.members import Entry, Limits
from pipeline.core.log import get_logger
from pipeline.core.schema import MEMBERS, READ
from pipeline.dataset.layout import Layout
from pipeline.scoring.placement import unit_bytes
from pipeline.scoring.reading import is_of_stream, read_measured, read_unit, units
from tests.helpers.packing import NOTHING, packed, packed_zip
from tests.helpers.plans import planned

MIB = 1 << 20
INNER = {None: None, "in.zip": Entry("in.zip", 9, stored_bytes=9), "in.tgz": Entry("in.tgz", 9, stored_bytes=9),
         "packed.zip": Entry("packed.zip", 9, stored_bytes=5, method=8)}  # fmt: skip


def members(sizes: dict[tuple[str, str | None], list[int]]) -> pa.Table:
    """Photos of these sizes in these archives, or archives nested in them."""
    tables = []
    for url in dict.fromkeys(url for url, _ in sizes):
        listing = Listing(url, "v1")
        for (of, inner), photos in sizes.items():
            for number, size in enumerate(photos if of == url else []):
                listing.add(Entry(f"{number}.jpg", size), INNER[inner])
        tables.append(listing.table().replace_schema_metadata())
    return pa.concat_tables(tables) if tables else MEMBERS.empty_table()


archives = st.tuples(st.sampled_from(["file:///a", "file:///b.zip", "file:///c.tar", "file:///d.tgz"]),
                     st.sampled_from([*INNER]))  # fmt: skip


@given(
    st.dictionaries(archives, st.lists(st.sampled_from([0, 5 * MIB, 20 * MIB, 50 * MIB]), min_size=1, max_size=30)),
    st.integers(1, 5),
)
def test_units_cut_the_table_into_bounded_work(sizes: dict[tuple[str, str | None], list[int]], actors: int) -> None:
    """Each photo is in one unit; a unit is of one archive or nested archive, and bounded unless it is one photo."""
    table = members(sizes)
    bound = partial(unit_bytes, pc.sum(table["size_bytes"]).as_py() or 0, actors)
    cut = [*units(table, bound)]
    before = 0
    for unit in cut:
        size_bytes = sum(unit["size_bytes"].to_pylist())
        assert is_of_stream(unit) or unit.num_rows == 1 or size_bytes <= bound(before)
        before += size_bytes
    assert pa.concat_tables([table.slice(0, 0), *cut]).equals(table)
    by_parts = [unit for unit in cut if not is_of_stream(unit)]
    for unit in by_parts:
        assert len({(row["archive"], str(row["inner"])) for row in unit.to_pylist()}) == 1
    streams = {("file:///d.tgz", None) if url.endswith("tgz") else (url, inner)
               for url, inner in sizes if url.endswith("tgz") or inner in {"in.tgz", "packed.zip"}}  # fmt: skip
    assert len(cut) - len(by_parts) == len(streams)


def test_units_are_bounded_in_photos() -> None:
    """Many small photos are shared out, too."""
    cut = [*units(members({("file:///a", None): [10] * 600}))]
    assert [unit.num_rows for unit in cut] == [256, 256, 88]


def test_a_unit_gives_each_photo_once_with_its_bytes_or_the_reason(tmp_path: Path) -> None:
    """Photos come as their bytes; one that vanished, and an archive that was unreadable, as their failure."""
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(name.encode())
    (tmp_path / "in" / "broken.zip").write_bytes(b"no zip")
    table = planned([str(tmp_path / "in")], Layout(f"file://{tmp_path}/out")).members
    (tmp_path / "in" / "b.jpg").unlink()
    read = pa.concat_tables([photo for unit in units(table) for photo in read_unit(unit, Limits(), NOTHING)])
    assert read.schema == READ
    outcome = {row["image"]: (row["data"], row["failure_stage"], row["failure_kind"]) for row in read.to_pylist()}
    assert outcome == {
        "a.jpg": (b"a.jpg", None, None),
        "b.jpg": (None, "read", "member_unreadable"),
        "": (None, "open", "archive_unreadable"),
    }


def test_photos_of_an_archive_that_was_replaced_fail(tmp_path: Path) -> None:
    """Whatever was read of it is not what was listed; a stream's photos, too."""
    for name in ("a.zip", "b.tgz"):
        place = tmp_path / name
        place.write_bytes(packed(place.suffix, [("a.jpg", b"aaa"), ("b.jpg", b"bbb")]))
        table = planned([str(place)], Layout(f"file://{tmp_path}/out")).members
        place.write_bytes(packed(place.suffix, [("a.jpg", b"AAA"), ("b.jpg", b"bbb")]) + b"\0")
        rows = [
            row for unit in units(table) for photo in read_unit(unit, Limits(), NOTHING) for row in photo.to_pylist()
        ]
        kinds = {row["failure_kind"] for row in rows if row["ended"] is None}
        assert kinds == {"archive_changed"}, name


def test_a_name_that_repeats_over_one_file_is_read_for_each_row(tmp_path: Path) -> None:
    """Two entries of a directory may lead to the same bytes; both have their row."""
    place = tmp_path / "a.zip"
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("a.jpg", b"aaa")
    file = storage.stat(f"file://{place}")
    listing = Listing(file.url, file.version)
    [row] = planned([str(place)], Layout(f"file://{tmp_path}/out")).members.to_pylist()
    entry = entry_of(row)._replace(version="")
    for _ in range(2):
        listing.add(entry)
    rows = [row for unit in units(listing.table()) for photo in read_unit(unit, Limits(), NOTHING)
            for row in photo.to_pylist()]  # fmt: skip
    assert [(row["image"], row["occurrence"], row["data"]) for row in rows] == [
        ("a.jpg", 0, b"aaa"),
        ("a.jpg", 1, b"aaa"),
    ]


@pytest.mark.parametrize("name", ["a.tgz", "a.zip"])
def test_what_is_left_of_a_stream_that_has_ended_is_all_that_is_read(name: str, tmp_path: Path) -> None:
    """As after `retry`, or a kill before the last commit: the others have their rows, and the end was told."""
    files = [("a.jpg", b"a"), ("in.zip", packed_zip([("b.jpg", b"b")])), ("c.jpg", b"c"), ("d.jpg", b"d")]
    (tmp_path / name).write_bytes(
        packed(".tgz", files) if name == "a.tgz" else packed_zip([("in.tgz", packed(".tgz", files[::2]))])
    )
    [stream] = units(planned([str(tmp_path / name)], Layout(f"file://{tmp_path}/out")).members)
    *photos, end = [row for table in read_unit(stream, Limits(), NOTHING) for row in table.to_pylist()]
    held = decode_listing(end["ended"])
    left = held.filter(pc.invert(pc.is_in(held["image_id"], pa.array([photos[1]["image_id"]]))))
    [unit] = units(left)
    rows = [row for table in read_unit(unit, Limits(), NOTHING) for row in table.to_pylist()]
    assert [(row["image"], row["data"]) for row in rows] == [
        (row["image"], row["data"]) for row in [*photos[:1], *photos[2:]]
    ]
    assert [row["ended"] for row in rows] == [None] * len(rows)


def test_a_photo_that_a_stream_does_not_yield_any_more_fails(tmp_path: Path) -> None:
    """Its version is the same, its bytes are not: every photo that is asked for has its row, and no other."""
    place = tmp_path / "a.tgz"
    data = packed(".tgz", [("a.jpg", b"a"), ("b.jpg", b"b")])
    place.write_bytes(data)
    facts = place.stat()
    [stream] = units(planned([str(place)], Layout(f"file://{tmp_path}/out")).members)
    *_, end = [row for table in read_unit(stream, Limits(), NOTHING) for row in table.to_pylist()]
    place.write_bytes(bytes(len(data)))
    os.utime(place, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    [unit] = units(decode_listing(end["ended"]))
    rows = [row for table in read_unit(unit, Limits(), NOTHING) for row in table.to_pylist()]
    assert [(row["image"], row["failure_kind"]) for row in rows] == [
        ("a.jpg", "member_unreadable"),
        ("b.jpg", "member_unreadable"),
    ]


def test_each_photo_says_what_reading_it_took(tmp_path: Path) -> None:
    """The photos are those of `read_unit`; their bytes are counted where they come from storage, once."""
    files = [(f"{number}.jpg", bytes(10_000)) for number in range(3)]
    (tmp_path / "a.zip").write_bytes(packed_zip(files))
    (unit,) = units(planned([str(tmp_path / "a.zip")], Layout(f"file://{tmp_path}/out")).members)
    plain = pa.concat_tables(read_unit(unit, Limits(), NOTHING))
    found = pa.concat_tables(read_measured(unit, Limits(), NOTHING))
    assert found.schema == READ
    assert found.drop_columns(["read_effort", "log"]).equals(plain.drop_columns(["read_effort", "log"]))
    efforts = found["read_effort"].to_pylist()
    assert (tmp_path / "a.zip").stat().st_size // 2 < sum(effort["read_bytes"] for effort in efforts) < 100_000
    assert all(effort["wall_s"] > 0 and effort["peak_bytes"] > 10 << 20 for effort in efforts)
    assert found["log"].to_pylist() == [[]] * 3


def test_log_lines_of_reading_come_with_the_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has no log of its own."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"a")
    (unit,) = units(planned([str(tmp_path / "in")], Layout(f"file://{tmp_path}/out")).members)
    read_bytes = storage.read_bytes

    def told(url: str) -> bytes:
        get_logger("storage_retry").warning("tried again", url=url)
        return read_bytes(url)

    monkeypatch.setattr(storage, "read_bytes", told)
    (photo,) = read_measured(unit, Limits(), NOTHING)
    [[line]] = photo["log"].to_pylist()
    assert json.loads(line)["url"] == f"file://{tmp_path}/in/a.jpg"
