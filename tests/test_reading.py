"""Units of reading: together they are the plan, and each is bounded; a unit read gives every photo once."""

from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipeline import plan, reading
from pipeline.dataset import Layout
from pipeline.members import Member
from pipeline.plan import make_plan
from pipeline.reading import read_unit, units
from pipeline.schema import MEMBERS, READ


def _members(sizes: dict[str, list[int]]) -> pa.Table:
    rows = [
        plan._row(url, "/", Member(f"{n}.jpg", 0, size, 0, ""))
        for url, of in sizes.items()
        for n, size in enumerate(of)
    ]
    return pa.Table.from_pylist(rows, schema=MEMBERS)


MIB = 1 << 20


@given(
    st.dictionaries(
        st.sampled_from(["file:///a", "file:///b.zip", "file:///c.tar", "file:///d.tgz"]),
        st.lists(st.sampled_from([0, 5 * MIB, 20 * MIB, 50 * MIB]), min_size=1, max_size=30),
        min_size=1,
    )
)
def test_units_cut_the_table_into_bounded_work(sizes: dict[str, list[int]]) -> None:
    """Put together the units are the table; each is of one archive, bounded unless it is streamed or one photo."""
    members = _members(sizes)

    cut = [*units(members)]

    assert pa.concat_tables(cut).equals(members)
    for unit in cut:
        (archive,) = set(unit["archive"].to_pylist())
        if archive.endswith(".tgz"):
            assert unit.num_rows == len(sizes[archive])
        else:
            assert unit.num_rows == 1 or sum(unit["size_bytes"].to_pylist()) <= reading.UNIT_BYTES


def test_units_are_bounded_in_photos() -> None:
    """Many small photos are shared out, too."""
    cut = [*units(_members({"file:///a": [10] * 600}))]

    assert [unit.num_rows for unit in cut] == [256, 256, 88]


def test_a_unit_gives_each_photo_once_with_its_bytes_or_the_reason(tmp_path: Path) -> None:
    """Photos come as their bytes; one that vanished, and an archive that was unreadable, as their failure."""
    (tmp_path / "in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / "in" / name).write_bytes(name.encode())
    (tmp_path / "in" / "broken.zip").write_bytes(b"no zip")
    members = make_plan([str(tmp_path / "in")], Layout(f"file://{tmp_path}/out")).members
    (tmp_path / "in" / "b.jpg").unlink()
    read = pa.concat_tables([photo for unit in units(members) for photo in read_unit(unit)])
    assert read.schema == READ
    outcome = {row["image"]: (row["data"], row["failure_stage"], row["failure_kind"]) for row in read.to_pylist()}
    assert outcome == {
        "a.jpg": (b"a.jpg", None, None),
        "b.jpg": (None, "read", "member_unreadable"),
        "": (None, "open", "archive_unreadable"),
    }
