"""Units of reading are bounded and together make up the plan; reading a unit gives every photo once."""

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
from pipeline.core.table_schemas import MEMBERS, READ
from pipeline.dataset.layout import Layout
from pipeline.scoring.placement import BatchSizes
from pipeline.scoring.reading import is_stream_unit, pack_unit, read_measured, read_unit, split_units, unpack_units
from tests.helpers.packing import NOTHING, pack, pack_zip
from tests.helpers.plans import make_listed_plan

MIB = 1 << 20
INNER = {None: None, "in.zip": Entry("in.zip", 9, stored_bytes=9), "in.tgz": Entry("in.tgz", 9, stored_bytes=9),
         "packed.zip": Entry("packed.zip", 9, stored_bytes=5, method=8)}  # fmt: skip


def make_members(sizes: dict[tuple[str, str | None], list[int]]) -> pa.Table:
    """List photos of these sizes in these archives, or in archives nested in them."""
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
def test_units_split_the_plan_into_bounded_work(sizes: dict[tuple[str, str | None], list[int]], actors: int) -> None:
    """Each photo is in one unit; a unit lies in one archive or nested archive, and is bounded or has one photo."""
    table = make_members(sizes)
    bound = partial(BatchSizes().next_unit_bytes, pc.sum(table["size_bytes"]).as_py() or 0, actors)
    cut = [*split_units(table, bound)]
    before = 0
    assert [unit for packed in map(pack_unit, cut) for unit in unpack_units(packed)] == cut
    for unit in cut:
        size_bytes = sum(unit["size_bytes"].to_pylist())
        assert is_stream_unit(unit) or unit.num_rows == 1 or size_bytes <= bound(before)
        before += size_bytes
    assert pa.concat_tables([table.slice(0, 0), *cut]).equals(table)
    seekable = [unit for unit in cut if not is_stream_unit(unit)]
    for unit in seekable:
        assert len({(row["archive"], str(row["inner"])) for row in unit.to_pylist()}) == 1
    streams = {("file:///d.tgz", None) if url.endswith("tgz") else (url, inner)
               for url, inner in sizes if url.endswith("tgz") or inner in {"in.tgz", "packed.zip"}}  # fmt: skip
    assert len(cut) - len(seekable) == len(streams)


def test_units_are_bounded_in_photos() -> None:
    """Many small photos are split, too."""
    cut = [*split_units(make_members({("file:///a", None): [10] * 600}))]
    assert [unit.num_rows for unit in cut] == [256, 256, 88]


def test_a_unit_gives_each_photo_once_with_its_bytes_or_failure(tmp_path: Path) -> None:
    """Readable photos carry their bytes; a vanished one, and an unreadable archive, carry their failure."""
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(name.encode())
    (tmp_path / "in" / "broken.zip").write_bytes(b"no zip")
    table = make_listed_plan([str(tmp_path / "in")], Layout(f"file://{tmp_path}/out")).members
    (tmp_path / "in" / "b.jpg").unlink()
    read = pa.concat_tables([photo for unit in split_units(table) for photo in read_unit(unit, Limits(), NOTHING)])
    assert read.schema == READ
    outcome = {row["image"]: (row["data"], row["failure_stage"], row["failure_kind"]) for row in read.to_pylist()}
    assert outcome == {
        "a.jpg": (b"a.jpg", None, None),
        "b.jpg": (None, "read", "vanished"),
        "": (None, "open", "archive_unreadable"),
    }


def test_photos_of_a_replaced_archive_fail(tmp_path: Path) -> None:
    """The bytes are not those of the listed photos; this holds for streams, too."""
    for name in ("a.zip", "b.tgz"):
        path = tmp_path / name
        path.write_bytes(pack(path.suffix, [("a.jpg", b"aaa"), ("b.jpg", b"bbb")]))
        table = make_listed_plan([str(path)], Layout(f"file://{tmp_path}/out")).members
        path.write_bytes(pack(path.suffix, [("a.jpg", b"AAA"), ("b.jpg", b"bbb")]) + b"\0")
        rows = [
            row
            for unit in split_units(table)
            for photo in read_unit(unit, Limits(), NOTHING)
            for row in photo.to_pylist()
        ]
        kinds = {row["failure_kind"] for row in rows if row["ended"] is None}
        assert kinds == {"archive_changed"}, name


def test_two_entries_of_one_file_are_two_rows(tmp_path: Path) -> None:
    """Two entries of a zip directory may point to the same bytes."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.jpg", b"aaa")
    file = storage.stat(f"file://{path}")
    listing = Listing(file.url, file.version)
    [row] = make_listed_plan([str(path)], Layout(f"file://{tmp_path}/out")).members.to_pylist()
    entry = entry_of(row)._replace(version="")
    for _ in range(2):
        listing.add(entry)
    rows = [row for unit in split_units(listing.table()) for photo in read_unit(unit, Limits(), NOTHING)
            for row in photo.to_pylist()]  # fmt: skip
    assert [(row["image"], row["occurrence"], row["data"]) for row in rows] == [
        ("a.jpg", 0, b"aaa"),
        ("a.jpg", 1, b"aaa"),
    ]


@pytest.mark.parametrize("name", ["a.tgz", "a.zip"])
def test_a_known_stream_gives_only_the_remaining_photos(name: str, tmp_path: Path) -> None:
    """As after `retry`, or a kill before the last commit: the other photos have their rows, and the plan knows all."""
    files = [("a.jpg", b"a"), ("in.zip", pack_zip([("b.jpg", b"b")])), ("c.jpg", b"c"), ("d.jpg", b"d")]
    (tmp_path / name).write_bytes(
        pack(".tgz", files) if name == "a.tgz" else pack_zip([("in.tgz", pack(".tgz", files[::2]))])
    )
    [stream] = split_units(make_listed_plan([str(tmp_path / name)], Layout(f"file://{tmp_path}/out")).members)
    *photos, end = [row for table in read_unit(stream, Limits(), NOTHING) for row in table.to_pylist()]
    held = decode_listing(end["ended"])
    left = held.filter(pc.invert(pc.is_in(held["image_id"], pa.array([photos[1]["image_id"]]))))
    [unit] = split_units(left)
    rows = [row for table in read_unit(unit, Limits(), NOTHING) for row in table.to_pylist()]
    assert [(row["image"], row["data"]) for row in rows] == [
        (row["image"], row["data"]) for row in [*photos[:1], *photos[2:]]
    ]
    assert [row["ended"] for row in rows] == [None] * len(rows)


def test_a_photo_that_a_stream_no_longer_yields_fails(tmp_path: Path) -> None:
    """The version of the stream is the same, its bytes are not: every wanted photo has a row, and no other."""
    path = tmp_path / "a.tgz"
    data = pack(".tgz", [("a.jpg", b"a"), ("b.jpg", b"b")])
    path.write_bytes(data)
    facts = path.stat()
    [stream] = split_units(make_listed_plan([str(path)], Layout(f"file://{tmp_path}/out")).members)
    *_, end = [row for table in read_unit(stream, Limits(), NOTHING) for row in table.to_pylist()]
    path.write_bytes(bytes(len(data)))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    [unit] = split_units(decode_listing(end["ended"]))
    rows = [row for table in read_unit(unit, Limits(), NOTHING) for row in table.to_pylist()]
    assert [(row["image"], row["failure_kind"]) for row in rows] == [
        ("a.jpg", "member_unreadable"),
        ("b.jpg", "member_unreadable"),
    ]


def test_each_photo_carries_the_usage_of_reading(tmp_path: Path) -> None:
    """The photos are those of `read_unit`, and the bytes from storage count once."""
    files = [(f"{number}.jpg", bytes(10_000)) for number in range(3)]
    (tmp_path / "a.zip").write_bytes(pack_zip(files))
    (unit,) = split_units(make_listed_plan([str(tmp_path / "a.zip")], Layout(f"file://{tmp_path}/out")).members)
    plain = pa.concat_tables(read_unit(unit, Limits(), NOTHING))
    found = pa.concat_tables(read_measured(unit, Limits(), NOTHING))
    assert found.schema == READ
    assert found.drop_columns(["read_usage", "log"]).equals(plain.drop_columns(["read_usage", "log"]))
    usages = found["read_usage"].to_pylist()
    assert (tmp_path / "a.zip").stat().st_size // 2 < sum(usage["read_bytes"] for usage in usages) < 100_000
    assert all(usage["wall_s"] > 0 and usage["peak_bytes"] > 10 << 20 for usage in usages)
    assert found["log"].to_pylist() == [[]] * 3


def test_each_photo_carries_the_log_lines_of_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker has no log of its own."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_bytes(b"a")
    (unit,) = split_units(make_listed_plan([str(tmp_path / "in")], Layout(f"file://{tmp_path}/out")).members)
    read_bytes = storage.read_bytes

    def log_and_read(url: str) -> bytes:
        get_logger("test").warning("tried again", url=url)
        return read_bytes(url)

    monkeypatch.setattr(storage, "read_bytes", log_and_read)
    (photo,) = read_measured(unit, Limits(), NOTHING)
    [[line]] = photo["log"].to_pylist()
    assert json.loads(line)["url"] == f"file://{tmp_path}/in/a.jpg"


def test_a_packed_unit_takes_a_third_of_its_memory() -> None:
    """The units of all photos wait in the object store at once, as many bytes as the plan if they were not packed."""
    listing = Listing("s3://photos/bridge 7")
    for number in range(256):
        listing.add(Entry(f"DSC{number:07d}.JPG", 4_000_000, version=f"{number * 0x9E3779B97F4A7C15:032x}"))
    unit = listing.table()

    packed = pack_unit(unit)

    assert packed.num_rows == 1
    assert packed.nbytes < unit.nbytes / 3
