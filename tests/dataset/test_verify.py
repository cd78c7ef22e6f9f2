"""Every invariant of a dataset: broken alone in a small dataset, its check fails, and no other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import UsageError
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.invariants import INVARIANTS, make_boxes
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import file_name
from pipeline.dataset.verify import Check, verify
from pipeline.images.tiles import TileSpec, grid
from tests.helpers.small_dataset import COMMITS, failed, image_id, ok, write_dataset, write_plan

Rows = list[dict[str, Any]]


def check_all(layout: Layout) -> list[Check]:
    """All checks."""
    return verify(layout.url, lambda _done, _total: None)


def broken(layout: Layout) -> dict[str, tuple[str, ...]]:
    """The broken invariants, with the names that the check lists."""
    return {check.invariant: check.names for check in check_all(layout) if check.broken}


def rewrite(url: str, change: Callable[[Rows], object], declared: pa.Schema | None = None, **metadata: str) -> None:
    """Change rows or metadata of a file, and nothing else."""
    table = read_table(url)
    rows = table.to_pylist()
    change(rows)
    named = {f"crackscan.{name}".encode(): value.encode() for name, value in metadata.items()}
    facts = (table.schema.metadata or {}) | named
    changed = pa.Table.from_pylist(rows, declared or table.schema).replace_schema_metadata(facts)
    storage.write_whole(url, table_bytes(changed))


def keep(_rows: Rows) -> None:
    """Change no row."""


def setting(**values: object) -> Callable[[Rows], object]:
    """Return a change that sets columns of the first row."""
    return lambda rows: rows[0].update(values)


def box(row: dict[str, Any]) -> dict[str, Any]:
    """Place of a tile."""
    return {name: row[name] for name in ("row", "col", "top_px", "left_px")}


def flip_a_byte(layout: Layout) -> None:
    """Damage the scores of a tiles file, in the middle of a page."""
    path = storage.local_path(layout.tiles(0, "one"))
    column = pq.ParquetFile(path).metadata.row_group(0).column(table_schemas.TILES.get_field_index("crack_score"))
    data = bytearray(path.read_bytes())
    first = column.dictionary_page_offset or column.data_page_offset
    data[first + column.total_compressed_size - 2] ^= 1
    path.write_bytes(data)


def widen_scores(layout: Layout) -> None:
    """Write scores as float64."""
    at = table_schemas.TILES.get_field_index("crack_score")
    rewrite(layout.tiles(0, "one"), keep, table_schemas.TILES.set(at, pa.field("crack_score", pa.float64())))


def raise_version(layout: Layout) -> None:
    """Name another schema version."""
    rewrite(layout.images(0), keep, schema="99")


def move_rows(layout: Layout) -> None:
    """Change the commit number of all of a commit's rows."""
    for url in (layout.images(0), layout.failed(0), layout.tiles(0, "one"), layout.cracks(0, "one")):
        rewrite(url, lambda rows: [row.update(part=7) for row in rows])


def leave_tiles(layout: Layout) -> None:
    """Add tiles of a run that committed nothing, and an unfinished file."""
    storage.write_whole(layout.tiles(0, "other"), storage.read_bytes(layout.tiles(0, "one")))
    storage.write_whole(f"{layout.url}/images/.part-000009.parquet.tmp", b"PAR1")


def repeat_row(layout: Layout) -> None:
    """Give a photo a second row, and count it."""
    rewrite(layout.images(0), lambda rows: rows.append(rows[0]))
    recount(layout, photos=6)


def recount(layout: Layout, **figures: int) -> None:
    """Change `summary.json`."""
    summary = json.loads(storage.read_bytes(layout.summary))
    storage.write_whole(layout.summary, json.dumps(summary | figures).encode())


def plan_more(layout: Layout) -> None:
    """Plan one more photo."""
    write_plan(layout, [ok("a.jpg"), ok("ccc.jpg"), ok("d.jpg"), failed("no.jpg"), failed("nope.jpg"), ok("bb.jpg")])


def plan_stream(layout: Layout) -> None:
    """Plan a stream whose photos are not known."""
    write_plan(layout, [{"entry": "stream", "archive": "file:///photos/three.tgz", "image": ""}])


def add_stray_tile(layout: Layout) -> None:
    """Add a tile of a photo without a row."""
    rewrite(layout.tiles(0, "one"), lambda rows: rows.append(rows[0] | {"image_id": "0" * 16, "image": "stray.jpg"}))


def rename_tile(layout: Layout) -> None:
    """Give a tile the name of another photo."""
    rewrite(layout.tiles(0, "one"), setting(image="other.jpg"))


def exceed_one(layout: Layout) -> None:
    """Score the only tile of a photo 1.5, in both tables."""

    def change(rows: Rows) -> None:
        [row.update(values) for row in rows if row["image"] == "bb.jpg"]

    values: dict[str, Any] = {"crack_score": 1.5}
    rewrite(layout.tiles(1, "one"), change)
    values = {"max_tile_score": 1.5, "crack_tiles": 1}
    rewrite(layout.images(1), change)


def add_stray_crack(layout: Layout) -> None:
    """Add a crack of a photo without a row."""
    rewrite(layout.cracks(0, "one"), lambda rows: rows.append(rows[0] | {"image_id": "0" * 16, "image": "stray.jpg"}))


def crack(part: int = 0, **values: object) -> Callable[[Layout], object]:
    """Return a damage that sets columns of the first crack of a commit."""
    return lambda layout: rewrite(layout.cracks(part, "one"), setting(**values))


def photo(part: int = 0, **values: object) -> Callable[[Layout], object]:
    """Return a damage that sets columns of the first scored photo of a commit."""
    return lambda layout: rewrite(layout.images(part), setting(**values))


def resize_crack(length_px: float) -> Callable[[Layout], object]:
    """Return a damage that gives the only crack of a photo another length, in both tables."""

    def damage(layout: Layout) -> None:
        crack(1, length_px=length_px)(layout)
        rewrite(
            layout.images(1),
            lambda rows: [row.update(crack_length_px=length_px) for row in rows if row["image"] == "ccc.jpg"],
        )

    return damage


NAN = float("nan")
NUMBERED, SUM = "as many cracks as its row says, numbered from 0", "crack_length_px is the sum"
IN_PHOTO, WIDTHS, MILLIMETRES = "a box inside its photo", "widths that grow", "millimetres are its pixels"
CRACK_FAULTS: list[tuple[Callable[[Layout], object], str, str]] = [
    (add_stray_crack, "crack is of a photo of its commit", "stray.jpg"),
    (crack(image="other.jpg"), "crack is of a photo of its commit", ""),
    (crack(crack=1), NUMBERED, "a.jpg"),
    (crack(crack=3), NUMBERED, "a.jpg"),
    (crack(crack=None), NUMBERED, "a.jpg"),
    (lambda out: rewrite(out.cracks(0, "one"), lambda rows: rows.pop()), NUMBERED, "a.jpg"),
    (lambda out: storage.remove(out.cracks(0, "one")), NUMBERED, "a.jpg"),
    (photo(cracks=2), NUMBERED, "a.jpg"),
    (photo(cracks=None), NUMBERED, "a.jpg"),
    (photo(crack_length_px=64.7), SUM, "a.jpg"),
    (photo(crack_length_px=None), SUM, "a.jpg"),
    (photo(crack_length_px=NAN), SUM, "a.jpg"),
    (photo(1, crack_length_px=1.0), SUM, "bb.jpg"),  # it has no crack
    (photo(1, cracks=None), SUM, "bb.jpg"),  # and then no length, either
    (crack(line_wkt="POINT (1 1)"), IN_PHOTO, "a.jpg"),
    (crack(line_wkt=None), IN_PHOTO, "a.jpg"),
    (resize_crack(0.0), IN_PHOTO, "ccc.jpg"),
    (resize_crack(NAN), IN_PHOTO, "ccc.jpg"),
    (crack(orientation_deg=181.0), IN_PHOTO, "a.jpg"),
    (crack(left_px=-1), IN_PHOTO, "a.jpg"),
    (crack(top_px=None), IN_PHOTO, "a.jpg"),
    (crack(left_px=291), IN_PHOTO, "a.jpg"),  # of 310, with a width of 20
    (crack(top_px=(1 << 31) - 1), IN_PHOTO, "a.jpg"),
    (crack(height_px=0), IN_PHOTO, "a.jpg"),
    (crack(1, width_status=None), WIDTHS, "ccc.jpg"),
    (crack(1, width_status="too_thin"), WIDTHS, "ccc.jpg"),
    (crack(1, crack_width_px_p95=None), WIDTHS, "ccc.jpg"),
    (crack(1, crack_width_px_p50=1.75), WIDTHS, "ccc.jpg"),  # p95 is 1.5
    (crack(1, crack_width_px_p95=2.75), WIDTHS, "ccc.jpg"),  # and the highest 2.5
    (crack(1, crack_width_px_p50=-0.5), WIDTHS, "ccc.jpg"),
    (crack(1, crack_width_px_max=NAN), WIDTHS, "ccc.jpg"),
    (crack(mm_per_px=0.41), MILLIMETRES, "a.jpg"),
    (crack(mm_per_px=None), MILLIMETRES, "a.jpg"),
    (crack(mm_per_px=-0.4), MILLIMETRES, "a.jpg"),
    (crack(length_mm=None), MILLIMETRES, "a.jpg"),
    (crack(length_mm=8.202), MILLIMETRES, "a.jpg"),  # it is 8.2
    (crack(crack_width_mm_max=NAN), MILLIMETRES, "a.jpg"),
    (crack(1, crack_width_mm_p50=0.2), MILLIMETRES, "ccc.jpg"),  # without a scale
    (crack(score=1.01), "is a probability", "a.jpg"),
    (crack(score=None), "is a probability", "a.jpg"),
    (lambda out: rewrite(out.failed(0), setting(cracks=0)), "Failed photos are in", "no.jpg"),
    (lambda out: rewrite(out.failed(0), setting(scale_source="given")), "Failed photos are in", "no.jpg"),
    (lambda out: rewrite(out.cracks(0, "one"), keep, token="x"), "file names the run", "part-000000-one.parquet"),  # noqa: S106 - no secret
    (lambda out: storage.write_whole(out.cracks(1, "x"), storage.read_bytes(out.cracks(1, "one"))),
     "that no commit names", "part-000001-x.parquet"),
]  # fmt: skip

FAULTS: list[tuple[Callable[[Layout], object], str, str]] = [
    (lambda out: rewrite(out.tiles(0, "one"), keep, token="x"), "file names the run", "part-000000-one.parquet"),  # noqa: S106 - no secret
    (lambda out: rewrite(out.failed(1), keep, model="x"), "file names the model", "failed-000001.parquet"),
    (leave_tiles, "that no commit names", ".part-000009.parquet.tmp"),
    (move_rows, "in the file of its commit", "images/part-000000.parquet"),
    (lambda out: rewrite(out.images(0), setting(run_id="x")), "row names the run", "a.jpg"),
    (lambda out: rewrite(out.failed(0), setting(model_id="x")), "row names the model", "no.jpg"),
    (repeat_row, "No photo has two rows", "a.jpg"),
    (plan_more, "Every planned photo has its row", "d.jpg"),
    (plan_stream, "archive's photos are known", "file:///photos/three.tgz"),
    (lambda out: storage.remove(out.plan("s3://bucket/two.tar")), "of a planned photo", "a.jpg"),
    (lambda out: rewrite(out.failed(0), setting(width_px=9)), "Failed photos are in", "no.jpg"),
    (lambda out: rewrite(out.failed(0), setting(failure_kind=None)), "Failed photos are in", "no.jpg"),
    (lambda out: rewrite(out.images(0), setting(failure_stage="read")), "All other photos are ok", "a.jpg"),
    (add_stray_tile, "of a photo of its commit", "stray.jpg"),
    (rename_tile, "of a photo of its commit", ""),
    (lambda out: rewrite(out.tiles(0, "one"), lambda rows: rows.pop()), "as many tiles", "a.jpg"),
    (lambda out: storage.remove(out.tiles(0, "one")), "as many tiles", "a.jpg"),
    (lambda out: rewrite(out.tiles(0, "one"), setting(left_px=1)), "the grid that covers", "a.jpg"),
    (
        lambda out: rewrite(out.tiles(0, "one"), lambda rows: rows[0].update(box(rows[1]))),
        "the grid that covers",
        "a.jpg",
    ),
    (lambda out: rewrite(out.images(0), setting(crack_score=1.5)), "All other photos are ok", "a.jpg"),
    (lambda out: rewrite(out.images(0), setting(max_tile_score=0.99)), "the highest of its tiles", "a.jpg"),
    (lambda out: rewrite(out.images(0), setting(crack_tiles=0)), "the highest of its tiles", "a.jpg"),
    (exceed_one, "is a probability", "bb.jpg"),
    (lambda out: recount(out, failed=1), "summary.json", "failed is 1, and there are 2"),
    *CRACK_FAULTS,
]


def test_a_sound_dataset_keeps_every_invariant(tmp_path: Path) -> None:
    """None is broken, open or unchecked."""
    checks = check_all(write_dataset(str(tmp_path / "out")))
    assert len(checks) == len({check.invariant for check in checks}) > len(INVARIANTS)
    assert {(check.broken, check.open, check.names) for check in checks} == {(0, 0, ())}


@pytest.mark.parametrize("fault", range(len(FAULTS)))
def test_a_broken_invariant_is_found_and_no_other(fault: int, tmp_path: Path) -> None:
    """If a dataset breaks one invariant, its check fails, and names the file or photo."""
    layout = write_dataset(str(tmp_path / "out"))
    break_it, invariant, name = FAULTS[fault]
    break_it(layout)
    found = broken(layout)
    assert [sentence for sentence in found if invariant in sentence] == [*found]
    assert any(listed.endswith(name) for names in found.values() for listed in names), found


@pytest.mark.parametrize(("damage", "invariant"), [
    (flip_a_byte, "Every file is whole."),
    (widen_scores, "Every file has the declared columns and version."),
    (raise_version, "Every file has the declared columns and version."),
])  # fmt: skip
def test_rows_of_damaged_files_stay_unchecked(damage: Callable[[Layout], None], invariant: str, tmp_path: Path) -> None:
    """If a file is damaged or of another version, only the check of files fails, and rows are not checked."""
    layout = write_dataset(str(tmp_path / "out"))
    damage(layout)
    assert [*broken(layout)] == [invariant]
    assert sum(check.broken is None for check in check_all(layout)) == len(INVARIANTS) + 1


def test_cracks_with_the_number_of_another_commit_are_found(tmp_path: Path) -> None:
    """Their photo has no row in that commit, and lacks them in its own."""
    layout = write_dataset(str(tmp_path / "out"))
    rewrite(layout.cracks(0, "one"), lambda rows: [row.update(part=7) for row in rows])
    assert broken(layout) == {
        "Every row is in the file of its commit.": (file_name(layout.cracks(0, "one")),),
        "Every crack is of a photo of its commit.": ("a.jpg",),
        "Every photo has as many cracks as its row says, numbered from 0.": ("a.jpg",),
    }


def test_a_gap_in_the_commit_log_is_found(tmp_path: Path) -> None:
    """The check names the missing part, also if no photo is lost with it."""
    layout = write_dataset(str(tmp_path / "out"), [COMMITS[0]], finish=False)
    write_dataset(layout.url, [COMMITS[1]], "two", finish=False)
    storage.remove(layout.images(1))  # the fence of the second run
    write_plan(layout, [row for rows in COMMITS for row in rows])
    assert broken(layout) == {"The commit log has no gap.": ("part-000001.parquet",)}


def test_names_that_are_not_canonical_are_found(tmp_path: Path) -> None:
    """An archive's URL with `..`, and an `image_id` that is not the hash of the photo's address."""
    detour = ok("a.jpg") | {"archive": "file:///a/../b.zip", "image_id": image_id("file:///a/../b.zip", "a.jpg")}
    layout = write_dataset(str(tmp_path / "out"), [[detour, ok("b.jpg") | {"image_id": "0" * 16}, ok("c.jpg")]])
    (names,) = broken(layout).values()
    assert names == ("file:///a/../b.zip a.jpg", "s3://bucket/two.tar b.jpg")


def test_an_unfinished_dataset_is_not_broken(tmp_path: Path) -> None:
    """Photos without a row and files of an interrupted commit are open until there is a `summary.json`."""
    layout = write_dataset(str(tmp_path / "out"), finish=False)
    for change in (plan_more, plan_stream, leave_tiles):
        change(layout)
    checks = check_all(layout)
    assert not any(check.broken for check in checks)
    assert [(check.open, check.names[-1]) for check in checks if check.open] == [
        (2, "part-000000-other.parquet"),
        (1, "d.jpg"),
        (1, "file:///photos/three.tgz"),
        (1, "it is not there, as the dataset is not finished"),
    ]


def test_an_archive_that_cannot_be_read_is_a_planned_failed_row(tmp_path: Path) -> None:
    """Its row with an empty `image` keeps every invariant; so do names that are not UTF-8, and empty datasets."""
    odd = ok("bad-\\xff.jpg") | {"image_id": "0123456789abcdef"}
    layout = write_dataset(str(tmp_path / "out"), [[failed("", "archive_unreadable"), odd]])
    assert broken(layout) == {}
    assert broken(write_dataset(str(tmp_path / "empty"), [], finish=False)) == {}


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    """It has no `run.json`."""
    with pytest.raises(UsageError, match="There is no dataset at"):
        check_all(Layout(storage.canonical(str(tmp_path))))


def test_the_grids_are_those_of_tiles() -> None:
    """However many sizes there are, each has its whole grid, once."""
    spec = TileSpec(64, 0.5)
    sizes = [(height_px, 65 + height_px % 7) for height_px in range(1, 1203)]
    rows = pa.concat_tables(list(make_boxes(sizes, spec)))
    assert rows.num_rows == sum(len(grid(*size, spec)) for size in sizes)
    assert {tuple(row.values())[:2] for row in rows.to_pylist()} == {*sizes}


def test_photos_of_a_stream_that_is_being_read_are_not_broken(tmp_path: Path) -> None:
    """Photos of a stream have rows before the plan has them; those of other archives are planned first."""
    layout = write_dataset(str(tmp_path / "out"), finish=False)
    write_plan(layout, [{"entry": "stream", "archive": "s3://bucket/two.tar", "image": ""}])
    assert broken(layout) == {}
    storage.remove(layout.plan("file:///photos/one.zip"))
    assert broken(layout) == {"Every row is of a planned photo.": ("bb.jpg", "no.jpg", "nope.jpg")}
