"""SQL over a dataset: its views, and wrong queries."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline import storage
from pipeline.cli import main
from pipeline.core import table_schemas
from pipeline.core.errors import DatasetError, UsageError
from pipeline.dataset import sql
from pipeline.dataset.commit_log import file_metadata, table_bytes
from pipeline.dataset.compact import compact
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.run import Run
from pipeline.dataset.writer import DatasetWriter, open_writer
from tests.helpers.small_dataset import COMMITS, THRESHOLD, write_dataset


def scored_photo(name: str, score: float | None, domain_score: float | None = None) -> pa.Table:
    """A photo with a tile and a crack; without a score it failed, without a domain score its model measures none."""
    row = {"image_id": name, "archive": "file:///a", "image": name, "occurrence": 0, "scored_at": datetime.now(UTC)}
    if score is None:
        return pa.Table.from_pylist(
            [row | {"status": "failed", "failure_kind": "empty_file"}], schema=table_schemas.SCORED
        )
    box = dict.fromkeys(("row", "col", "top_px", "left_px"), 0) | {"height_px": 9, "width_px": 9, "crack_score": score}
    row |= {"status": "ok", "tiles": 1, "crack_tiles": round(score), "crack_score": score, "grid": [box]}
    row |= {"domain_score": domain_score, "lines": [{"crack": 0, "length_px": 9.5}]}
    return pa.Table.from_pylist([row], schema=table_schemas.SCORED)


def file_bytes(table: pa.Table, run_id: str = "one") -> bytes:
    """A file of a dataset, as a run writes it."""
    return table_bytes(table.replace_schema_metadata(file_metadata(run_id, "model")))


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


@pytest.fixture
def writer(layout: Layout) -> Iterator[DatasetWriter]:
    """The writer of a new dataset."""
    with hold(layout, "one", lambda _holder: None) as lease:
        yield open_writer(layout, Run("one", "model", {}, {}), lease)


def test_views_of_a_dataset(layout: Layout, writer: DatasetWriter) -> None:
    """`images` has every photo, `failures` the failed ones, `tiles` and `cracks` those of the others."""
    for name, score in (("a", 0.25), ("b", None), ("c", 0.75)):
        writer.add(scored_photo(name, score))
    writer.commit()
    counts = {
        view: sql.query(layout.url, f"FROM {view}").num_rows for view in ("images", "failures", "tiles", "cracks")
    }
    assert counts == {"images": 3, "failures": 1, "tiles": 2, "cracks": 2}
    assert [worst.image for worst in sql.list_worst(layout.url, 5)] == ["c", "a"]


def test_photos_unlike_the_training_data_have_a_view(layout: Layout) -> None:
    """It has those at or over the threshold of the model card, compared in the precision of the scores."""
    details = {"model_card": {"domain_threshold": 1.3}}
    with hold(layout, "one", lambda _holder: None) as lease:
        writer = open_writer(layout, Run("one", "model", {}, details), lease)
        for name, domain_score in (("below", 1.2), ("at", 1.3), ("over", 9.0), ("unknown", None)):
            writer.add(scored_photo(name, 0.5, domain_score))
        writer.add(scored_photo("failed", None))
        writer.commit()
    assert sql.query(layout.url, "SELECT image FROM out_of_domain ORDER BY 1")["image"].to_pylist() == ["at", "over"]
    assert sql.count_out_of_domain(layout.url) == 2
    assert [found.image for found in sql.list_worst(layout.url, 3)] == ["below", "unknown", "at"]  # they come last
    assert {found.image for found in sql.list_worst(layout.url, 5) if found.is_out_of_domain} == {"at", "over"}


def test_without_a_threshold_no_photo_is_out_of_domain(layout: Layout, writer: DatasetWriter) -> None:
    """The card of an older model has none."""
    writer.add(scored_photo("a", 0.5, 9.0))
    writer.commit()
    assert sql.count_out_of_domain(layout.url) == 0
    assert not sql.list_worst(layout.url, 1)[0].is_out_of_domain


def test_a_query_shows_columns_in_the_declared_order(layout: Layout, writer: DatasetWriter) -> None:
    """`SELECT *` shows the columns of the schema."""
    writer.add(scored_photo("a", 0.5))
    writer.commit()
    assert sql.query(layout.url, "SELECT * FROM images").schema.names == table_schemas.IMAGES.names
    assert sql.query(layout.url, "SELECT * FROM tiles").schema.names == table_schemas.TILES.names
    assert sql.query(layout.url, "SELECT * FROM cracks").schema.names == table_schemas.CRACKS.names


def test_a_query_of_photos_opens_one_file_of_cracks(layout: Layout, writer: DatasetWriter) -> None:
    """The others, thousands after a long night, are opened only if the query reads cracks: damage shows there."""
    for name in "abc":
        writer.add(scored_photo(name, 0.5))
        writer.commit()
    for path in sorted((storage.local_path(layout.url) / "cracks").iterdir())[1:]:
        path.write_bytes(b"damaged")
    assert sql.query(layout.url, "SELECT image FROM images ORDER BY 1")["image"].to_pylist() == ["a", "b", "c"]
    with pytest.raises(DatasetError, match=r"cracks/part-00000[12]-one\.parquet"):
        sql.query(layout.url, "SELECT sum(length_px) FROM cracks")


def test_an_empty_dataset_has_all_views(layout: Layout, writer: DatasetWriter) -> None:
    """Before the first commit the views are there, with their columns and no row."""
    del writer
    for view in sql.VIEWS:
        assert sql.query(layout.url, f"SELECT * FROM {view}").num_rows == 0
    assert sql.list_worst(layout.url, 5) == []


@pytest.mark.parametrize("version", [1, 2])
def test_views_of_older_schemas_have_the_same_columns(version: int, tmp_path: Path) -> None:
    """In the same types; what older schemas lack is null, but the score of a photo was its highest tile score."""
    older = write_dataset(str(tmp_path / "older"), schema_version=version)
    today = write_dataset(str(tmp_path / "today"))
    for view in sql.VIEWS:
        found, expected = (sql.query(layout.url, f"FROM {view}") for layout in (older, today))
        assert found.schema.equals(expected.schema), view
    lacking = [name for name in table_schemas.IMAGES.names if name not in table_schemas.IMAGES_OF[2].names]
    [row] = sql.query(older.url, f"SELECT DISTINCT {', '.join(lacking)} FROM images").to_pylist()
    assert row == dict.fromkeys(lacking)
    differing = "SELECT count(*) FROM images WHERE max_tile_score IS DISTINCT FROM crack_score"
    assert sql.query(older.url, differing)[0][0].as_py() == 0


def test_views_omit_uncommitted_files(layout: Layout, writer: DatasetWriter) -> None:
    """In the moment of a crash, no view shows tiles, cracks and failures that no commit names."""
    writer.add(scored_photo("a", 0.5))
    writer.commit()
    orphan = scored_photo("b", 0.9)
    storage.write_whole(layout.tiles(1, "one"), file_bytes(table_schemas.make_tiles_table(orphan, 1)))
    storage.write_whole(layout.cracks(1, "one"), file_bytes(table_schemas.make_cracks_table(orphan, 1)))
    failed = table_schemas.make_images_table(scored_photo("c", None), 1, "model", "one")
    storage.write_whole(layout.failed(1), file_bytes(failed))
    for view in ("tiles", "cracks"):
        assert sql.query(layout.url, f"SELECT image FROM {view}").to_pylist() == [{"image": "a"}]
    assert sql.query(layout.url, "SELECT * FROM failures").num_rows == 0


def test_a_statement_without_rows_gives_an_empty_table(layout: Layout, writer: DatasetWriter) -> None:
    """A statement without a result is no error."""
    del writer
    assert sql.query(layout.url, "SET threads = 1").num_rows == 0


def test_wrong_sql_is_refused(layout: Layout, writer: DatasetWriter) -> None:
    """The message quotes DuckDB."""
    del writer
    with pytest.raises(UsageError, match=r"DuckDB refuses the query: .*crack_scor"):
        sql.query(layout.url, "SELECT crack_scor FROM images")


def test_a_folder_without_a_dataset_is_refused(tmp_path: Path) -> None:
    """The message names it."""
    with pytest.raises(UsageError) as refused:
        sql.query(str(tmp_path), "SELECT 1")
    assert str(refused.value) == (
        f"There is no dataset at file://{tmp_path}; expected a folder that `crackscan score` wrote."
    )


def test_views_omit_failed_photos_of_a_writer_that_lost_the_dataset(layout: Layout, writer: DatasetWriter) -> None:
    """A failed file belongs to the commit of its run; the commit of its number is another writer's fence."""
    writer.add(scored_photo("a", None))
    writer.commit()
    failed = table_schemas.make_images_table(scored_photo("b", None), 1, "model", "one")
    storage.write_whole(layout.failed(1), file_bytes(failed))
    fence = table_schemas.make_images_table(table_schemas.SCORED.empty_table(), 1, "model", "two")
    storage.write_whole(layout.images(1), file_bytes(fence, "two"))
    assert sql.query(layout.url, "SELECT image FROM failures").to_pylist() == [{"image": "a"}]


def test_a_commit_of_seven_digits_is_seen(layout: Layout, writer: DatasetWriter) -> None:
    """Numbers may have more than six digits."""
    writer.log = replace(writer.log, tokens=("one",) * 1_000_000)
    writer.add(scored_photo("a", 0.5))
    writer.add(scored_photo("b", None))
    writer.commit()
    assert sql.query(layout.url, "SELECT image FROM images ORDER BY ALL").num_rows == 2


@pytest.mark.parametrize(("name", "other"), [("st*r", "star"), ("br[1]", "br1"), ("a?", "ab"), ("b\\[x", "b[x")])
def test_names_of_folders_are_no_globs(name: str, other: str, tmp_path: Path) -> None:
    """So a dataset never shows the rows of another."""
    for folder in (name, other):
        layout = Layout(storage.canonical(str(tmp_path / folder)))
        with hold(layout, "one", lambda _holder: None) as lease:
            writer = open_writer(layout, Run("one", "model", {}, {}), lease)
            writer.add(scored_photo(folder, 0.5))
            writer.add(scored_photo(f"{folder} failed", None))
            writer.commit()
    images = sql.query(str(tmp_path / name), "SELECT image FROM images ORDER BY ALL").to_pylist()
    assert images == [{"image": name}, {"image": f"{name} failed"}]


@pytest.fixture(scope="module", params=["as scored", "compact"])
def four_photos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The small dataset, and the same dataset compacted."""
    folder = tmp_path_factory.mktemp("threshold")
    layout = write_dataset(str(folder / "small"))
    if request.param == "compact":
        compact(layout.url, str(folder / "compact"), 36, lambda _done, _total: None)
        layout = Layout(storage.canonical(str(folder / "compact")))
    return layout


def crack_tiles(layout: Layout, threshold: float | None) -> dict[str, int | None]:
    """`crack_tiles` by photo, in SQL."""
    rows = sql.query(layout.url, "SELECT image, crack_tiles FROM images", threshold).to_pylist()
    return {row["image"]: row["crack_tiles"] for row in rows}


def counted(threshold: float) -> dict[str, int | None]:
    """The same without SQL, from the written scores, in their precision."""
    photos = [photo for commit in COMMITS for photo in commit]
    line = np.float32(threshold)
    return {
        photo["image"]: [np.float32(tile["crack_score"]) >= line for tile in photo["grid"]].count(np.True_)
        if photo["status"] == "ok"
        else None
        for photo in photos
    }


@given(threshold=st.one_of(st.floats(0, 1), st.integers(0, 255).map(lambda number: number / 255)))
@example(threshold=THRESHOLD)
@settings(max_examples=12)
def test_a_threshold_counts_the_tiles_at_or_over_it(four_photos: Layout, threshold: float) -> None:
    """Also at thresholds that equal a score; failed photos have null."""
    assert crack_tiles(four_photos, threshold) == counted(threshold)


def test_at_the_cards_threshold_nothing_changes(four_photos: Layout) -> None:
    """Counting anew at the threshold of scoring gives the stored counts, in every column of every photo."""
    stored, anew = (sql.query(four_photos.url, "FROM images ORDER BY image", line) for line in (None, THRESHOLD))
    assert anew.equals(stored)
    assert anew.schema == stored.schema


@given(thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)))
@settings(max_examples=6)
def test_a_higher_threshold_never_counts_more(four_photos: Layout, thresholds: tuple[float, float]) -> None:
    """A higher threshold never adds tiles; at 0 every tile counts."""
    low, high = (crack_tiles(four_photos, line) for line in sorted(thresholds))
    assert all((low[image] or 0) >= (count or 0) for image, count in high.items())
    everything = sql.query(four_photos.url, "SELECT bool_and(tiles = crack_tiles) FROM images", 0.0)
    assert everything[0][0].as_py() is True


def test_uncommitted_tiles_are_not_counted(layout: Layout, writer: DatasetWriter) -> None:
    """In the moment of a crash, a tile that no commit names does not count for a photo of another part."""
    writer.add(scored_photo("a", 0.5))
    writer.commit()
    storage.write_whole(layout.tiles(1, "one"), file_bytes(table_schemas.make_tiles_table(scored_photo("a", 0.9), 1)))
    assert crack_tiles(layout, 0.4) == {"a": 1}
    assert crack_tiles(layout, 0.6) == {"a": 0}


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_must_be_a_score(layout: Layout, threshold: float) -> None:
    """Scores are from 0 to 1."""
    with pytest.raises(UsageError) as refused:
        sql.query(layout.url, "SELECT 1", threshold)
    assert str(refused.value) == f"The threshold is {threshold:g}; expected a score from 0 to 1."


def test_query_takes_a_threshold(four_photos: Layout) -> None:
    """`crackscan query --threshold` shows other counts, and leaves the files unchanged."""
    words = ["query", four_photos.url, "SELECT sum(crack_tiles) AS n FROM images", "--format", "csv"]
    shown = [CliRunner().invoke(main, [*words, *more]).output.split()[-1] for more in ([], ["--threshold", "0"])]
    assert shown == [str(sum(count or 0 for count in counted(line).values())) for line in (THRESHOLD, 0.0)]
