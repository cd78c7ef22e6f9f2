"""SQL over a dataset: the views, and what is refused."""

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
from pipeline.core import schema
from pipeline.core.errors import UsageError
from pipeline.dataset import sql
from pipeline.dataset.commit_log import read_log
from pipeline.dataset.compact import compact
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import hold
from pipeline.dataset.run import Run
from pipeline.dataset.writer import DatasetWriter, open_writer
from tests.helpers.small_dataset import COMMITS, THRESHOLD, written


def photo(name: str, score: float | None, domain_score: float | None = None) -> pa.Table:
    """One tile with these scores; None for a photo that failed, and a model that does not know strangers."""
    row = {"image_id": name, "archive": "file:///a", "image": name, "occurrence": 0, "scored_at": datetime.now(UTC)}
    if score is None:
        return pa.Table.from_pylist([row | {"status": "failed", "failure_kind": "empty_file"}], schema=schema.SCORED)
    box = dict.fromkeys(("row", "col", "top_px", "left_px"), 0) | {"height_px": 9, "width_px": 9, "crack_score": score}
    row |= {"status": "ok", "tiles": 1, "crack_tiles": round(score), "crack_score": score, "grid": [box]}
    row["domain_score"] = domain_score
    return pa.Table.from_pylist([row], schema=schema.SCORED)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """A place for a dataset."""
    return Layout(storage.canonical(str(tmp_path / "out")))


@pytest.fixture
def sink(layout: Layout) -> Iterator[DatasetWriter]:
    """A dataset just begun."""
    with hold(layout, "one", lambda _holder: None) as lease:
        yield open_writer(layout, Run("one", "model", {}, {}), lease)


def test_views_of_a_dataset(layout: Layout, sink: DatasetWriter) -> None:
    """`images` has every photo, `failures` the failed ones, `tiles` the tiles of the others."""
    for name, score in (("a", 0.25), ("b", None), ("c", 0.75)):
        sink.add(photo(name, score))
    sink.commit()
    counts = "SELECT (SELECT count(*) FROM images), (SELECT count(*) FROM failures), (SELECT count(*) FROM tiles)"
    assert list(sql.query(layout.url, counts).to_pylist()[0].values()) == [3, 1, 2]
    assert [worst.image for worst in sql.worst(layout.url, 5)] == ["c", "a"]


def test_photos_unlike_the_training_data_have_a_view(layout: Layout) -> None:
    """At or over the threshold of the card in `run.json`, compared in the precision of the scores."""
    about = {"model_card": {"domain_threshold": 1.3}}
    with hold(layout, "one", lambda _holder: None) as lease:
        sink = open_writer(layout, Run("one", "model", {}, about), lease)
        for name, strangeness in (("below", 1.2), ("at", 1.3), ("over", 9.0), ("unknown", None)):
            sink.add(photo(name, 0.5, strangeness))
        sink.add(photo("failed", None))
        sink.commit()
    assert sql.query(layout.url, "SELECT image FROM out_of_domain ORDER BY 1")["image"].to_pylist() == ["at", "over"]
    assert sql.out_of_domain(layout.url) == 2
    assert {found.image for found in sql.worst(layout.url, 5) if found.is_out_of_domain} == {"at", "over"}


def test_without_a_threshold_nothing_is_strange(layout: Layout, sink: DatasetWriter) -> None:
    """An older model's card has none."""
    sink.add(photo("a", 0.5, 9.0))
    sink.commit()
    assert sql.out_of_domain(layout.url) == 0
    assert not sql.worst(layout.url, 1)[0].is_out_of_domain


def test_a_query_writes_columns_in_the_declared_order(layout: Layout, sink: DatasetWriter) -> None:
    """`SELECT *` shows the columns of the schema."""
    sink.add(photo("a", 0.5))
    sink.commit()
    assert sql.query(layout.url, "SELECT * FROM images").schema.names == schema.IMAGES.names
    assert sql.query(layout.url, "SELECT * FROM tiles").schema.names == schema.TILES.names


def test_an_empty_dataset_has_all_views(layout: Layout, sink: DatasetWriter) -> None:
    """Before the first commit the views are there, with their columns and no row."""
    del sink
    for view in ("images", "failures", "out_of_domain", "strange", "tiles"):
        assert sql.query(layout.url, f"SELECT * FROM {view}").num_rows == 0
    assert sql.worst(layout.url, 5) == []


def test_uncommitted_files_are_not_seen(layout: Layout, sink: DatasetWriter) -> None:
    """In the moment of a crash, tiles and failures that no commit names are in no view."""
    sink.add(photo("a", 0.5))
    sink.commit()
    storage.write_whole(layout.tiles(1, "one"), sink._encoded(schema.tiles_table(photo("b", 0.9), 1)))
    failed = schema.images_table(photo("c", None), 1, "model", "one")
    storage.write_whole(layout.failed(1), sink._encoded(failed))
    assert sql.query(layout.url, "SELECT image FROM tiles").to_pylist() == [{"image": "a"}]
    assert sql.query(layout.url, "SELECT * FROM failures").num_rows == 0


def test_a_statement_without_rows_gives_an_empty_table(layout: Layout, sink: DatasetWriter) -> None:
    """A statement that selects nothing is no error."""
    del sink
    assert sql.query(layout.url, "SET threads = 1").num_rows == 0


def test_wrong_sql_is_told(layout: Layout, sink: DatasetWriter) -> None:
    """DuckDB's own words come as one sentence of ours."""
    del sink
    with pytest.raises(UsageError, match=r"DuckDB refuses the query: .*crack_scor"):
        sql.query(layout.url, "SELECT crack_scor FROM images")


def test_no_dataset_is_told(tmp_path: Path) -> None:
    """A folder that holds none is named."""
    with pytest.raises(UsageError) as refused:
        sql.query(str(tmp_path), "SELECT 1")
    assert str(refused.value) == (
        f"There is no dataset at file://{tmp_path}; expected a folder that `crackscan score` wrote."
    )


def test_failed_photos_of_a_writer_that_was_taken_over_are_not_seen(layout: Layout, sink: DatasetWriter) -> None:
    """A failed file counts for the commit that names its run; that of the same number is another writer's fence."""
    sink.add(photo("a", None))
    sink.commit()
    failed = schema.images_table(photo("b", None), 1, "model", "one")
    storage.write_whole(layout.failed(1), sink._encoded(failed))
    with hold(Layout(f"{layout.url}-lease"), "two", lambda _holder: None) as lease:
        fence = DatasetWriter(layout, Run("two", "model", {}, {}), read_log(layout), lease)
        fence._put(schema.SCORED.empty_table())
    assert sql.query(layout.url, "SELECT image FROM failures").to_pylist() == [{"image": "a"}]


def test_a_commit_of_seven_digits_is_seen(layout: Layout, sink: DatasetWriter) -> None:
    """The numbers grow beyond the zeros before them."""
    sink.log = replace(sink.log, tokens=("one",) * 1_000_000)
    sink.add(photo("a", 0.5))
    sink.add(photo("b", None))
    sink.commit()
    assert sql.query(layout.url, "SELECT image FROM images ORDER BY ALL").num_rows == 2


@pytest.mark.parametrize(("name", "other"), [("st*r", "star"), ("br[1]", "br1"), ("a?", "ab"), ("b\\[x", "b[x")])
def test_names_of_folders_are_no_globs(name: str, other: str, tmp_path: Path) -> None:
    """A dataset never shows the rows of another."""
    for folder in (name, other):
        layout = Layout(storage.canonical(str(tmp_path / folder)))
        with hold(layout, "one", lambda _holder: None) as lease:
            sink = open_writer(layout, Run("one", "model", {}, {}), lease)
            sink.add(photo(folder, 0.5))
            sink.add(photo(f"{folder} failed", None))
            sink.commit()
    images = sql.query(str(tmp_path / name), "SELECT image FROM images ORDER BY ALL").to_pylist()
    assert images == [{"image": name}, {"image": f"{name} failed"}]


@pytest.fixture(scope="module", params=["as scored", "compact"])
def four_photos(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """The small dataset, and the same one compacted."""
    folder = tmp_path_factory.mktemp("threshold")
    layout = written(str(folder / "small"))
    if request.param == "compact":
        compact(layout.url, str(folder / "compact"), 36, lambda _done, _total: None)
        layout = Layout(storage.canonical(str(folder / "compact")))
    return layout


def crack_tiles(layout: Layout, threshold: float | None) -> dict[str, int | None]:
    """The column, photo by photo."""
    rows = sql.query(layout.url, "SELECT image, crack_tiles FROM images", threshold).to_pylist()
    return {row["image"]: row["crack_tiles"] for row in rows}


def counted(threshold: float) -> dict[str, int | None]:
    """The same without SQL, from what was written; in the precision of the scores."""
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
    """Each photo's `crack_tiles` is what counting its scores gives, at scores that occur, too; null where it failed."""
    assert crack_tiles(four_photos, threshold) == counted(threshold)


def test_at_the_cards_threshold_nothing_changes(four_photos: Layout) -> None:
    """Counting anew at the threshold of scoring gives the stored numbers, in every column of every photo."""
    stored, anew = (sql.query(four_photos.url, "FROM images ORDER BY image", line) for line in (None, THRESHOLD))
    assert anew.equals(stored)
    assert anew.schema == stored.schema


@given(thresholds=st.tuples(st.floats(0, 1), st.floats(0, 1)))
@settings(max_examples=6)
def test_a_higher_threshold_never_counts_more(four_photos: Layout, thresholds: tuple[float, float]) -> None:
    """Moving the line up takes tiles away and adds none; at 0 every tile counts."""
    low, high = (crack_tiles(four_photos, line) for line in sorted(thresholds))
    assert all((low[image] or 0) >= (count or 0) for image, count in high.items())
    everything = sql.query(four_photos.url, "SELECT bool_and(tiles = crack_tiles) FROM images", 0.0)
    assert everything[0][0].as_py() is True


def test_uncommitted_tiles_are_not_counted(layout: Layout, sink: DatasetWriter) -> None:
    """In the moment of a crash, a tile that no commit names adds nothing to a photo of another part."""
    sink.add(photo("a", 0.5))
    sink.commit()
    storage.write_whole(layout.tiles(1, "one"), sink._encoded(schema.tiles_table(photo("a", 0.9), 1)))
    assert crack_tiles(layout, 0.4) == {"a": 1}
    assert crack_tiles(layout, 0.6) == {"a": 0}


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_no_score_is_refused(layout: Layout, threshold: float) -> None:
    """Scores go from 0 to 1."""
    with pytest.raises(UsageError) as refused:
        sql.query(layout.url, "SELECT 1", threshold)
    assert str(refused.value) == f"The threshold is {threshold:g}; expected a score from 0 to 1."


def test_query_takes_a_threshold(four_photos: Layout) -> None:
    """`crackscan query --threshold` shows other counts, and leaves the files as they are."""
    words = ["query", four_photos.url, "SELECT sum(crack_tiles) AS n FROM images", "--format", "csv"]
    shown = [CliRunner().invoke(main, [*words, *more]).output.split()[-1] for more in ([], ["--threshold", "0"])]
    assert shown == [str(sum(count or 0 for count in counted(line).values())) for line in (THRESHOLD, 0.0)]
