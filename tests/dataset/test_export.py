"""A dataset as one file: what stands in it, that it is whole, and what is not replaced."""

import json
from pathlib import Path
from typing import get_args

import duckdb
import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import csv

from pipeline import storage
from pipeline.cli import main
from pipeline.core import schema
from pipeline.core.errors import StorageError, UsageError
from pipeline.dataset import sql
from pipeline.dataset.export import GEOJSON_HEAD, TABLES, ExportConfig, Form, export
from pipeline.dataset.layout import Layout
from tests.helpers.small_dataset import written
from tests.helpers.two_inspections import CARD, inspected, photos


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Two bridges in two months."""
    return inspected(tmp_path_factory.mktemp("inspected"))


def read_csv(path: Path, declared: pa.Schema) -> pa.Table:
    """The file in the types of the schema."""
    options = csv.ConvertOptions(column_types=declared, strings_can_be_null=True, quoted_strings_can_be_null=False)
    parse = csv.ParseOptions(newlines_in_values=True)
    return csv.read_csv(path, convert_options=options, parse_options=parse).cast(declared)


@pytest.mark.parametrize(("table", "key"), [("images", "image_id"), ("tiles", 'image_id, "row", col')])
def test_a_csv_holds_every_row_and_column(table: str, key: str, layout: Layout, tmp_path: Path) -> None:
    """Read back, it is what the view shows, to the last bit of every score and with nothing where nothing was."""
    made = export(ExportConfig(layout.url, "csv", str(tmp_path / "file"), "images" if table == "images" else "tiles"))
    expected = sql.query(layout.url, f"FROM {table} ORDER BY {key}")
    declared = schema.IMAGES if table == "images" else schema.TILES
    keys = [(name.strip(' "'), "ascending") for name in key.split(",")]
    found = read_csv(tmp_path / "file", declared).sort_by(keys)
    assert found.to_pylist() == expected.cast(declared).to_pylist()
    assert made.rows == {table: expected.num_rows}
    assert made.is_finished


def test_images_of_a_csv_are_sorted(layout: Layout, tmp_path: Path) -> None:
    """By archive and image, so that two exports can be compared line by line."""
    export(ExportConfig(layout.url, "csv", str(tmp_path / "file")))
    found = read_csv(tmp_path / "file", schema.IMAGES).select(["archive", "image"]).to_pylist()
    assert found == sorted(found, key=lambda row: (row["archive"], row["image"]))


def test_a_threshold_moves_the_counts_of_a_csv(layout: Layout, tmp_path: Path) -> None:
    """At 0 every tile counts."""
    export(ExportConfig(layout.url, "csv", str(tmp_path / "file"), threshold=0.0))
    found = read_csv(tmp_path / "file", schema.IMAGES)
    assert found["crack_tiles"].equals(found["tiles"])


def test_a_duckdb_file_has_all_tables(layout: Layout, tmp_path: Path) -> None:
    """Each holds what the view of its name shows, in the same types."""
    made = export(ExportConfig(layout.url, "duckdb", str(tmp_path / "file"), threshold=0.25))
    with duckdb.connect(str(tmp_path / "file"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in ("images", "tiles", "failures", "out_of_domain"):
            found = connection.sql(f"FROM {table} ORDER BY ALL").to_arrow_table()
            assert found.equals(sql.query(layout.url, f"FROM {table} ORDER BY ALL", 0.25))
            assert made.rows[table] == found.num_rows > 0
        assert {name for (name,) in connection.execute("SHOW TABLES").fetchall()} == {*TABLES}


def test_a_duckdb_file_says_what_scored_it(layout: Layout, tmp_path: Path) -> None:
    """One row of `run`: where from, which model and grid, at which threshold tiles count, and all of run.json."""
    for number, (threshold, counted_at) in enumerate([(None, CARD["threshold"]), (0.25, 0.25)]):
        export(ExportConfig(layout.url, "duckdb", str(tmp_path / str(number)), threshold=threshold))
        with duckdb.connect(str(tmp_path / str(number)), read_only=True) as connection:
            [row] = connection.sql("FROM run").to_arrow_table().to_pylist()
        facts = {"dataset": layout.url, "model_id": "model00", "tile_px": 100, "overlap": 0.25, "is_finished": True}
        lines = {"threshold": counted_at, "model_threshold": CARD["threshold"]}
        assert {name: row[name] for name in (*facts, *lines)} == facts | lines
        assert row["domain_threshold"] == CARD["domain_threshold"]
        assert json.loads(row["run_json"]) == json.loads(storage.read_bytes(layout.run))


def test_an_export_replaces_an_older_one(layout: Layout, tmp_path: Path) -> None:
    """The same command may run every night; each form knows its own files, CSVs of both tables."""
    for form in get_args(Form):
        path = tmp_path / form
        for _ in range(2):
            export(ExportConfig(layout.url, form, str(path)))
    export(ExportConfig(layout.url, "csv", str(tmp_path / "csv"), "tiles"))
    assert {path.name for path in tmp_path.iterdir()} == {*get_args(Form)}


@pytest.mark.parametrize("form", get_args(Form))
def test_a_file_that_is_no_export_stays(form: Form, layout: Layout, tmp_path: Path) -> None:
    """Somebody's own file is replaced only where that is asked for; an empty one, too, is somebody's."""
    path = tmp_path / "mine"
    for data in (b"", b"my notes", b'{"type": "FeatureCollection", "features": []}', b"image,score\na,1\n"):
        path.write_bytes(data)
        with pytest.raises(UsageError) as refused:
            export(ExportConfig(layout.url, form, str(path)))
        sentence = f"file://{path} exists and is no {form} that crackscan wrote. Give another --out, or --overwrite."
        assert str(refused.value) == sentence
        assert path.read_bytes() == data
    export(ExportConfig(layout.url, form, str(path), overwrite=True))
    export(ExportConfig(layout.url, form, str(path)))


def test_a_database_that_somebody_works_in_stays(layout: Layout, tmp_path: Path) -> None:
    """A view that an analyst has added to an export is worth keeping."""
    config = ExportConfig(layout.url, "duckdb", str(tmp_path / "mine"))
    export(config)
    with duckdb.connect(config.file) as connection:
        connection.execute("CREATE VIEW worst AS FROM images ORDER BY crack_score DESC LIMIT 10")
    with pytest.raises(UsageError, match="exists and is no duckdb that crackscan wrote"):
        export(config)
    with duckdb.connect(config.file, read_only=True) as connection:
        assert len(connection.sql("FROM worst").fetchall()) == 10


def test_an_export_that_fails_leaves_the_older_one(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file appears whole or not at all, and nothing half written stays beside it."""
    config = ExportConfig(layout.url, "geojson", str(tmp_path / "file"))
    export(config)
    before = (tmp_path / "file").read_bytes()

    def full(_connection: object, path: Path) -> int:
        path.write_bytes(GEOJSON_HEAD.encode())
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(export, "write", full)
    with pytest.raises(StorageError, match="could not be written: the disk is full"):
        export(config)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_an_unfinished_dataset_says_so(tmp_path: Path) -> None:
    """What there is, is exported, and the command tells that more will come."""
    written(str(tmp_path / "out"), finish=False)
    words = ["export", str(tmp_path / "out"), "--to", "geojson", "--out", str(tmp_path / "file")]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0
    assert shown.stdout == f"Wrote 0 photos to file://{tmp_path}/file; 3 more were scored and tell no position\n"
    assert shown.stderr == (
        f"{tmp_path}/out is not finished: more photos will come. `crackscan status` tells how many.\n"
    )


def test_the_command_says_what_it_wrote(layout: Layout, tmp_path: Path) -> None:
    """Rows by table, and where."""
    words = ["export", layout.url, "--to", "duckdb", "--out", str(tmp_path / "file")]
    failed = sum(row["status"] == "failed" for row in photos())
    tiles = sum(len(row.get("grid", [])) for row in photos())
    unlike = sum(row.get("domain_score", 0) > CARD["domain_threshold"] for row in photos())
    assert CliRunner().invoke(main, words).output == (
        f"Wrote {failed} failures, {len(photos())} images, {unlike} out_of_domain, {tiles} tiles to file://{tmp_path}/file\n"
    )


def refusals(out: Path) -> dict[str, tuple[list[str], str]]:
    """Words after `export OUT`, and all that they may say."""
    return {
        "a table of no CSV": (
            ["--to", "duckdb", "--table", "tiles", "--out", "x"],
            "--table chooses what a CSV holds, and --to is duckdb. Leave one of them out.",
        ),
        "a threshold of tiles": (
            ["--to", "csv", "--table", "tiles", "--threshold", "0.9", "--out", "x"],
            "--threshold moves crack_tiles, which is a column of images. Leave out one of the two.",
        ),
        "a folder": (
            ["--to", "csv", "--out", str(out.parent)],
            f"file://{out.parent} is a folder; expected the name of a file to write. Give another --out.",
        ),
        "inside the dataset": (
            ["--to", "csv", "--out", str(out / "photos.csv")],
            (
                f"file://{out}/photos.csv lies in the dataset file://{out}, which holds its own files only. Give "
                "another --out."
            ),
        ),
    }


def test_wrong_use_is_told_in_one_sentence(layout: Layout) -> None:
    """Exit code 2, and nothing is written."""
    out = storage.local_path(layout.url)
    before = sorted(out.parent.rglob("*"))
    for words, sentence in refusals(out).values():
        shown = CliRunner().invoke(main, ["export", str(out), *words])
        assert (shown.exit_code, shown.stderr) == (2, f"crackscan: {sentence}\n")
    assert sorted(out.parent.rglob("*")) == before


def test_a_remote_file_appears_whole(layout: Layout) -> None:
    """Through `storage`, wherever that leads; a remote database is replaced only where that is asked for."""
    for form in get_args(Form):
        made = export(ExportConfig(layout.url, form, f"memory://exports/{form}"))
        assert storage.stat(made.url).size_bytes > 1000
    with pytest.raises(UsageError, match="--overwrite"):
        export(ExportConfig(layout.url, "duckdb", "memory://exports/duckdb"))
