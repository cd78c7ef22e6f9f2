"""Scales that are set afterwards: millimetres follow them in every view, pixels stay."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.core.errors import DatasetHeldError, UsageError
from pipeline.dataset.beside import SCALES, find_scale_faults, scales_url
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.compact import compact
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.sql import query
from pipeline.dataset.verify import differences, verify
from pipeline.findings.scales import Rescaled, remove_scales, set_scales
from tests.helpers.small_dataset import COMMITS, write_dataset

IMAGES = "SELECT image, widest_px, mm_per_px, scale_source, widest_mm FROM images ORDER BY image"
CRACKS = "FROM cracks ORDER BY image, crack"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A dataset of three measured photos: a.jpg has a scale of 0.4, bb.jpg no cracks, ccc.jpg no scale."""
    return write_dataset(str(tmp_path / "out"))


def find_for_c(_archive: str, image: str) -> tuple[float, str] | None:
    """Give one photo a scale."""
    return (0.25, "table") if image == "ccc.jpg" else None


def test_millimetres_follow_the_scale(layout: Layout) -> None:
    """Those of the photos that have one; the others keep what they had, failed photos have none."""
    before = query(layout.url, CRACKS).to_pylist()
    assert set_scales(layout.url, find_for_c) == Rescaled(photos=1, measured=3)
    assert [tuple(row.values()) for row in query(layout.url, IMAGES).to_pylist()] == [
        ("a.jpg", 4.5, 0.4, "given", pytest.approx(1.8)),
        ("bb.jpg", None, None, None, None),
        ("ccc.jpg", 2.5, 0.25, "table", 0.625),
        ("no.jpg", None, None, None, None),
        ("nope.jpg", None, None, None, None),
    ]
    assert query(layout.url, IMAGES, threshold=0.9).equals(query(layout.url, IMAGES))
    *of_a, of_c = query(layout.url, CRACKS).to_pylist()
    assert of_a == before[:-1]
    changed = {"mm_per_px": 0.25, "scale_source": "table", "length_mm": 20.5 / 4}
    changed |= {f"crack_width_mm_{name}": (0.5 + n) / 4 for n, name in enumerate(("p50", "p95", "max"))}
    assert of_c == before[-1] | changed


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mm_per_px=st.floats(1e-3, 1e3))
def test_any_scale_is_shown_and_breaks_no_invariant(mm_per_px: float, layout: Layout) -> None:
    """From a thousandth of a millimetre to a metre."""
    set_scales(layout.url, lambda _archive, _image: (mm_per_px, "given"))
    assert {row["mm_per_px"] for row in query(layout.url, CRACKS).to_pylist()} == {mm_per_px}
    assert not any(check.broken for check in verify(layout.url, lambda _done, _total: None))


def test_a_compact_copy_has_the_scales_in_its_files(layout: Layout, tmp_path: Path) -> None:
    """It equals the dataset as people see it, and needs no `scales.parquet`."""
    set_scales(layout.url, find_for_c)
    made = compact(layout.url, str(tmp_path / "compact"), 1 << 20, lambda _done, _total: None)
    assert not storage.exists(scales_url(Layout(made.url)))
    assert differences(layout.url, made.url) == []
    assert not any(check.broken for check in verify(made.url, lambda _done, _total: None))


def test_the_files_of_the_dataset_stay(layout: Layout, tmp_path: Path) -> None:
    """One file comes, the next call replaces it, and with it gone all is as it was."""
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    seen = query(layout.url, IMAGES)
    set_scales(layout.url, lambda _archive, _image: (3.0, "given"))
    set_scales(layout.url, find_for_c)
    assert read_table(scales_url(layout))["image"].to_pylist() == ["ccc.jpg"]
    assert remove_scales(layout.url)
    assert not remove_scales(layout.url)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert query(layout.url, IMAGES).equals(seen)


def test_a_photo_that_fails_later_has_no_scale(layout: Layout) -> None:
    """Though its scale was set, all measures of a failed photo are null."""
    set_scales(layout.url, lambda _archive, _image: (3.0, "given"))
    table = read_table(scales_url(layout))
    [failed] = query(layout.url, "SELECT image_id FROM images WHERE image = 'no.jpg'")["image_id"].to_pylist()
    rows = [row | {"image_id": failed, "image": "no.jpg"} for row in table.to_pylist()[:1]]
    storage.write_whole(scales_url(layout), table_bytes(pa.Table.from_pylist(rows, SCALES)))
    assert query(layout.url, "SELECT mm_per_px FROM images WHERE image = 'no.jpg'").to_pylist() == [{"mm_per_px": None}]


@pytest.mark.parametrize("change", [lambda layout: set_scales(layout.url, find_for_c), lambda o: remove_scales(o.url)])
def test_a_run_at_work_is_not_disturbed(change: object, layout: Layout) -> None:
    """As long as another process holds the dataset, nothing is set or removed."""
    set_scales(layout.url, find_for_c)
    before = storage.read_bytes(scales_url(layout))
    assert callable(change)
    with hold(layout, "run", lambda _holder: None), pytest.raises(DatasetHeldError):
        change(layout)
    assert storage.read_bytes(scales_url(layout)) == before


@pytest.mark.parametrize("version", [1, 2])
def test_older_schemas_are_refused(version: int, tmp_path: Path) -> None:
    """They have no cracks to measure."""
    commits = [[{**row, "cracks": None, "lines": []} for row in rows] for rows in COMMITS]
    older = write_dataset(str(tmp_path / "older"), commits, schema_version=version)
    with pytest.raises(UsageError) as caught:
        set_scales(older.url, lambda _archive, _image: (1.0, "given"))
    assert str(caught.value) == (
        f"{older.url} has no photo in which cracks were measured, so a scale would change nothing. Score into another "
        "--out, with a model that was trained with --dense, without --no-cracks."
    )
    assert not storage.exists(scales_url(older))


def test_scales_for_no_photo_are_refused(layout: Layout) -> None:
    """The message shows how names of photos look."""
    with pytest.raises(UsageError, match=r"No photo of .* gets a scale. Its first is bb.jpg in file:///photos/one.zip"):
        set_scales(layout.url, lambda _archive, _image: None)


def test_verify_finds_wrong_scales(layout: Layout) -> None:
    """A scale of nothing, a photo with two, other columns, and a damaged file."""
    set_scales(layout.url, lambda _archive, _image: (1.0, "given"))
    rows = read_table(scales_url(layout)).to_pylist()
    wrong = [rows[0] | {"mm_per_px": 0.0}, rows[1] | {"mm_per_px": None}, rows[2], rows[2]]
    storage.write_whole(scales_url(layout), table_bytes(pa.Table.from_pylist(wrong, SCALES)))
    assert find_scale_faults(layout) == [rows[0]["image"], rows[1]["image"], rows[2]["image_id"]]
    storage.write_whole(scales_url(layout), table_bytes(pa.table({"a": [1]})))
    assert find_scale_faults(layout) == ["scales.parquet has other columns"]
    storage.write_whole(scales_url(layout), b"nonsense")
    [damage] = find_scale_faults(layout)
    assert damage.startswith(f"{scales_url(layout)} is no sound Parquet file: ")
    [broken] = [check for check in verify(layout.url, lambda _done, _total: None) if check.broken]
    assert (broken.invariant, broken.names) == (
        "Every scale that was set afterwards is more than 0, and one to a photo.",
        (damage,),
    )
