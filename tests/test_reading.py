"""Units of reading: together they are the plan, and each is bounded; a unit read gives every photo once."""

import zipfile
from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from packing import NOTHING, packed
from planning import planned

from pipeline import reading, storage
from pipeline.dataset import Layout
from pipeline.listing import Listing, entry_of
from pipeline.members import Entry, Limits
from pipeline.reading import read_unit, units
from pipeline.schema import MEMBERS, READ

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


@given(st.dictionaries(archives, st.lists(st.sampled_from([0, 5 * MIB, 20 * MIB, 50 * MIB]), min_size=1, max_size=30)))
def test_units_cut_the_table_into_bounded_work(sizes: dict[tuple[str, str | None], list[int]]) -> None:
    """Each photo is in one unit; a unit is of one archive or nested archive, and bounded unless it is one photo."""
    table = members(sizes)
    cut = [*units(table)]
    photos = [unit for unit in cut if unit["entry"][0].as_py() == "photo"]
    streams = {(row["archive"], row["inner"] and row["inner"]["path"].decode())
               for unit in cut for row in unit.to_pylist() if row["entry"] == "stream"}  # fmt: skip
    for unit in photos:
        assert len({(row["archive"], str(row["inner"])) for row in unit.to_pylist()}) == 1
        assert unit.num_rows == 1 or sum(unit["size_bytes"].to_pylist()) <= reading.UNIT_BYTES
    expected = {("file:///d.tgz", None) if url.endswith("tgz") else (url, inner)
                for url, inner in sizes if url.endswith("tgz") or inner in {"in.tgz", "packed.zip"}}  # fmt: skip
    assert streams == expected
    by_parts = {key: of for key, of in sizes.items() if not key[0].endswith("tgz") and key[1] in {None, "in.zip"}}
    assert sum(unit.num_rows for unit in photos) == sum(map(len, by_parts.values()))
    assert {*pa.concat_tables([table.slice(0, 0), *photos])["image_id"].to_pylist()} == {
        *members(by_parts)["image_id"].to_pylist()
    }


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
