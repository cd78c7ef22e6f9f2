"""Exports: their content, that they appear whole, and which files they replace."""

import json
import math
from csv import reader
from pathlib import Path
from typing import Any, get_args

import duckdb
import pyarrow as pa
import pyogrio
import pytest
from click.testing import CliRunner
from pyarrow import csv

from pipeline import storage
from pipeline.cli import main
from pipeline.core import table_schemas
from pipeline.core.errors import CrackscanError, UsageError
from pipeline.core.spreadsheets import guard
from pipeline.dataset import sql
from pipeline.dataset.beside import ANSWERS
from pipeline.dataset.export import TABLES, ExportConfig, Form, Program, Table, export
from pipeline.dataset.layout import Layout
from pipeline.findings.element_rules import PARTS, ElementRule, ElementRules
from pipeline.findings.elements import set_elements
from tests.helpers.limits import files_of_at_most
from tests.helpers.small_dataset import BEGAN_AT, failed, ok, with_cracks, write_dataset
from tests.helpers.two_inspections import CARD, photos, write_inspections
from tests.helpers.verdict_rows import judge

FORMS: tuple[Form, ...] = tuple(form for form in get_args(Form) if form != "gpkg")
"""The forms of a dataset of photos; `test_rasters` has the other."""


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    """Two bridges in two months."""
    return write_inspections(tmp_path_factory.mktemp("inspected"))


def read_csv(path: Path, declared: pa.Schema) -> pa.Table:
    """The rows of the file in the types of the schema."""
    options = csv.ConvertOptions(column_types=declared, strings_can_be_null=True, quoted_strings_can_be_null=False)
    parse = csv.ParseOptions(newlines_in_values=True)
    return csv.read_csv(path, convert_options=options, parse_options=parse).cast(declared)


@pytest.mark.parametrize(
    ("table", "key", "declared"),
    [
        ("images", "image_id", table_schemas.IMAGES),
        ("tiles", 'image_id, "row", col', table_schemas.TILES),
        ("cracks", "image_id, crack", table_schemas.CRACKS),
    ],
)
def test_a_csv_holds_every_row_and_column(
    table: Table, key: str, declared: pa.Schema, layout: Layout, tmp_path: Path
) -> None:
    """Read back, it equals the view, to the last bit of every score, and nulls stay null."""
    made = export(ExportConfig(layout.url, "csv", str(tmp_path / "file"), table))
    expected = sql.query(layout.url, f"FROM {table} ORDER BY {key}")
    keys = [(name.strip(' "'), "ascending") for name in key.split(",")]
    found = read_csv(tmp_path / "file", declared).sort_by(keys)
    assert found.to_pylist() == expected.cast(declared).to_pylist()
    assert made.rows == {table: expected.num_rows}
    assert made.is_finished


FORMULAS = ("=1+1.jpg", "+1.jpg", "-2.jpg", "@sum.jpg", "\t=1.jpg", "\r=1.jpg", "＝1.jpg", "12345678901234567", "12e4")  # noqa: RUF001
PLAIN = ("a=1.jpg", "Brücke 7.jpg", "'=1.jpg", "7.jpg", "x-1.jpg")


def rows_of(path: Path) -> list[list[str]]:
    """The cells of a CSV, without the mark."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [*reader(file)]


@pytest.mark.parametrize("table", ["images", "tiles", "cracks"])
def test_a_csv_for_excel_has_no_formulas(table: Table, tmp_path: Path) -> None:
    """It begins with the mark of UTF-8; a `'` stands before names that would be formulas or numbers, nowhere else."""
    photos = [with_cracks(ok(name), 1, mm_per_px=0.5) for name in (*FORMULAS, *PLAIN)]
    layout = write_dataset(str(tmp_path / "out"), [photos])
    export(ExportConfig(layout.url, "csv", str(tmp_path / "plain"), table))
    export(ExportConfig(layout.url, "csv", str(tmp_path / "file"), table, "excel"))
    data = (tmp_path / "file").read_bytes()
    assert data.startswith(b"\xef\xbb\xbfpart,image_id,")
    rows, plain = rows_of(tmp_path / "file"), rows_of(tmp_path / "plain")
    for row, before in zip(rows, plain, strict=True):
        assert row == [guard(cell) if name in {"image", "image_id"} else cell
                       for name, cell in zip(rows[0], before, strict=True)]  # fmt: skip
    shown = {dict(zip(rows[0], row, strict=True))["image"] for row in rows[1:]}
    assert shown == {*(f"'{name}" for name in FORMULAS), *PLAIN}


def test_numbers_of_a_csv_for_excel_are_numbers(layout: Layout, tmp_path: Path) -> None:
    """A longitude west of Greenwich begins with a minus and stays; an id like `8e37` is guarded."""
    programs: dict[str, Program | None] = {"plain": None, "excel": "excel"}
    for name, program in programs.items():
        export(ExportConfig(layout.url, "csv", str(tmp_path / name), "images", program))
    for guarded, plain in zip(rows_of(tmp_path / "excel"), rows_of(tmp_path / "plain"), strict=True):
        assert guarded[3:] == plain[3:]
        assert guarded[1] == guard(plain[1])
    assert any(row[10].startswith("-8.") for row in rows_of(tmp_path / "excel"))


def test_folders_are_counted(tmp_path: Path) -> None:
    """A row for each folder of each archive, the top of an archive too; the threshold moves the counts."""
    rows = [ok("a.jpg"), ok("x/y/b.jpg"), ok("x/y/cc.jpg"), failed("x/y/ddd.jpg"), ok("x/\n/f.jpg")]
    for row in rows:
        row["archive"] = "file:///one.zip"
    layout = write_dataset(str(tmp_path / "out"), [rows])
    export(ExportConfig(layout.url, "csv", str(tmp_path / "file"), "folders", threshold=0.0))
    head, *found = rows_of(tmp_path / "file")
    assert head == table_schemas.FOLDERS.names
    assert [row[:5] for row in found] == [
        ["file:///one.zip", "", "1", "0", "1"],
        ["file:///one.zip", "x/\n", "1", "0", "1"],
        ["file:///one.zip", "x/y", "3", "1", "2"],
    ]
    shown = sql.query(layout.url, "FROM folders")
    assert shown.schema.equals(table_schemas.FOLDERS)


@pytest.mark.parametrize("table", ["images", "cracks"])
def test_rows_of_a_csv_are_sorted(table: Table, layout: Layout, tmp_path: Path) -> None:
    """By archive and image, so that exports can be compared line by line."""
    export(ExportConfig(layout.url, "csv", str(tmp_path / "file"), table))
    head, *rows = rows_of(tmp_path / "file")
    keys = [[row[head.index(name)] for name in ("archive", "image")] for row in rows]
    assert keys == sorted(keys)


def test_a_threshold_moves_the_counts_of_a_csv(layout: Layout, tmp_path: Path) -> None:
    """At 0 every tile counts."""
    export(ExportConfig(layout.url, "csv", str(tmp_path / "file"), threshold=0.0))
    found = read_csv(tmp_path / "file", table_schemas.IMAGES)
    assert found["crack_tiles"].equals(found["tiles"])


def test_a_duckdb_file_has_all_tables(layout: Layout, tmp_path: Path) -> None:
    """Each holds what the view of its name shows, in the same types."""
    made = export(ExportConfig(layout.url, "duckdb", str(tmp_path / "file"), threshold=0.25))
    with duckdb.connect(str(tmp_path / "file"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in sql.VIEWS:
            found = connection.sql(f"FROM {table} ORDER BY ALL").to_arrow_table()
            assert found.equals(sql.query(layout.url, f"FROM {table} ORDER BY ALL", 0.25))
            assert made.rows[table] == found.num_rows
            assert (found.num_rows > 0) == (table not in {"verdicts", "elements"})
        assert {name for (name,) in connection.execute("SHOW TABLES").fetchall()} == {*TABLES}


def test_a_duckdb_file_opens_in_older_duckdbs(layout: Layout, tmp_path: Path) -> None:
    """Its header asks for storage version 64, which DuckDB 1.0 reads and every later one."""
    export(ExportConfig(layout.url, "duckdb", str(tmp_path / "file")))
    head = (tmp_path / "file").read_bytes()[:20]
    assert (head[8:12], int.from_bytes(head[12:], "little")) == (b"DUCK", 64)


def test_a_duckdb_file_describes_the_run(layout: Layout, tmp_path: Path) -> None:
    """Its table `run` has one row with dataset, model, tile grid, threshold and all of run.json."""
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
    """The same command may run every night; each form recognises its own files, CSV also those of all tables."""
    for form in FORMS:
        path = tmp_path / form
        for _ in range(2):
            export(ExportConfig(layout.url, form, str(path)))
    export(ExportConfig(layout.url, "csv", str(tmp_path / "csv"), "tiles"))
    for table in get_args(Table):
        export(ExportConfig(layout.url, "csv", str(tmp_path / "csv"), table, "excel"))
        export(ExportConfig(layout.url, "csv", str(tmp_path / "csv"), table))
    export(ExportConfig(layout.url, "geojson", str(tmp_path / "geojson"), "cracks"))
    export(ExportConfig(layout.url, "geojson", str(tmp_path / "geojson")))
    assert {path.name for path in tmp_path.iterdir()} == {*FORMS}


HOSTILE = ("=cmd|' /C calc'!A0", "@SUM(1)", "+1", '"</td><script>alert(1)</script>', "a\nb")
"""Comments and elements that a spreadsheet or a page might run."""


def tell(layout: Layout) -> None:
    """Judge each crack of a.jpg, and file it under an element, in hostile words; `=x` is a column of the office's."""
    [row] = sql.query(layout.url, "SELECT image_id FROM images WHERE image = 'a.jpg'").to_pylist()
    for number in range(3):
        judge(layout, row["image_id"], ANSWERS[number], cracks=[number], comment=HOSTILE[number], by=HOSTILE[3])
    values = dict(zip((*PARTS, "=x"), HOSTILE, strict=True))
    set_elements(layout.url, ElementRules([*values], [ElementRule("row", "a.jpg", None, values)]))


def test_cracks_have_what_people_told(tmp_path: Path) -> None:
    """Behind their own columns, as it was told; cracks that nobody judged are open. An older export is replaced."""
    layout = write_dataset(str(tmp_path / "out"))
    config = ExportConfig(layout.url, "csv", str(tmp_path / "file"), "cracks")
    export(config)
    assert rows_of(tmp_path / "file")[0] == table_schemas.CRACKS.names
    tell(layout)
    export(config)
    export(config)
    head, *rows = rows_of(tmp_path / "file")
    assert head == [*table_schemas.CRACKS.names, "state", "verdict", "comment", "by", "judged_at", *PARTS, "=x"]
    told = [dict(zip(head, row, strict=True)) for row in rows]
    assert [row["state"] for row in told if row["image"] == "a.jpg"] == ["confirmed", "rejected", "unclear"]
    assert {row["state"] for row in told if row["image"] != "a.jpg"} == {"open"}
    first = next(row for row in told if row["image"] == "a.jpg")
    assert (first["comment"], first["by"], first["judged_at"]) == (HOSTILE[0], HOSTILE[3], "2026-11-30T12:00:00Z")
    assert [first[name] for name in (*PARTS, "=x")] == [*HOSTILE]


def test_what_people_told_is_no_formula(tmp_path: Path) -> None:
    """Comments, names, elements and the heads of columns are guarded for spreadsheets."""
    layout = write_dataset(str(tmp_path / "out"))
    tell(layout)
    for program in (None, "excel"):
        export(ExportConfig(layout.url, "csv", str(tmp_path / str(program)), "cracks", program))
    plain, guarded = rows_of(tmp_path / "None"), rows_of(tmp_path / "excel")
    told = slice(len(table_schemas.CRACKS.names), None)
    for row, before in zip(guarded, plain, strict=True):
        assert row[told] == [guard(cell) for cell in before[told]]
    assert guarded[0][-1] == "'=x"


def test_positions_are_left_out_on_demand(layout: Layout, tmp_path: Path) -> None:
    """Their columns stay and are empty; a map would be nothing but positions."""
    export(ExportConfig(layout.url, "csv", str(tmp_path / "csv"), no_positions=True))
    found = read_csv(tmp_path / "csv", table_schemas.IMAGES)
    positions = ("latitude", "longitude", "altitude_m")
    assert all(found[name].null_count == found.num_rows for name in positions)
    assert found["camera"].null_count < found.num_rows
    export(ExportConfig(layout.url, "duckdb", str(tmp_path / "file"), no_positions=True))
    with duckdb.connect(str(tmp_path / "file"), read_only=True) as connection:
        for table in ("images", "failures", "out_of_domain"):
            sql_of = f"SELECT count(latitude) + count(longitude) + count(altitude_m) FROM {table}"
            assert connection.sql(sql_of).fetchall() == [(0,)]
    with pytest.raises(UsageError, match="--no-positions leaves out positions, and --to geojson is a map"):
        ExportConfig(layout.url, "geojson", "x", no_positions=True)


@pytest.mark.parametrize("version", [1, 2])
def test_an_export_of_an_older_version_is_replaced(version: int, layout: Layout, tmp_path: Path) -> None:
    """A CSV has the columns of its schema version, a database no table of cracks."""
    (tmp_path / "csv").write_text(",".join(table_schemas.IMAGES_OF[version].names) + "\n0,\n")
    with duckdb.connect(tmp_path / "duckdb") as connection:
        for table in {*TABLES} - {"cracks", "elements", "findings", "verdicts"}:
            connection.execute(f"CREATE TABLE {table} AS SELECT 1 AS part")
    assert export(ExportConfig(layout.url, "csv", str(tmp_path / "csv"))).rows == {"images": len(photos())}
    assert export(ExportConfig(layout.url, "duckdb", str(tmp_path / "duckdb"))).rows.keys() == {*TABLES}


OTHERS: dict[str, tuple[Form, bytes, str]] = {
    "empty": ("duckdb", b"", "an empty file"),
    "notes": ("csv", b"my notes", "a text"),
    "table.csv": ("csv", b"image,score\na,1\n", "a CSV table"),
    "map.geojson": ("geojson", b'{"type": "FeatureCollection", "features": []}', "a GeoJSON file"),
}
"""Files of others, with the form that may replace them, and what they are in words."""


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_that_is_no_export_stays(name: str, layout: Layout, tmp_path: Path) -> None:
    """Other files of the kind, even empty ones, are replaced only with `overwrite`."""
    path, (form, data, words) = tmp_path / name, OTHERS[name]
    path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        export(ExportConfig(layout.url, form, str(path)))
    assert str(refused.value) == (
        f"file://{path} is there already: {words} that `crackscan export` did not write. Give another --out, or "
        "--overwrite."
    )
    assert path.read_bytes() == data
    export(ExportConfig(layout.url, form, str(path), overwrite=True))
    export(ExportConfig(layout.url, form, str(path)))


@pytest.mark.parametrize(("form", "name"), [("duckdb", "notes"), ("geojson", "table.csv"), ("csv", "map.geojson")])
def test_a_file_of_another_kind_always_stays(form: Form, name: str, layout: Layout, tmp_path: Path) -> None:
    """Also with `overwrite`, which the message does not offer."""
    path, (_, data, words) = tmp_path / name, OTHERS[name]
    path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        export(ExportConfig(layout.url, form, str(path), overwrite=True))
    becomes = {"csv": "a CSV table", "geojson": "a GeoJSON file", "duckdb": "a DuckDB database"}[form]
    assert str(refused.value) == (
        f"file://{path} is there already: {words}, which never becomes {becomes}. Give another --out."
    )
    assert path.read_bytes() == data


def test_a_database_that_an_analyst_changed_stays(layout: Layout, tmp_path: Path) -> None:
    """It may have views of the analyst's own."""
    config = ExportConfig(layout.url, "duckdb", str(tmp_path / "mine"))
    export(config)
    with duckdb.connect(config.file) as connection:
        connection.execute("CREATE VIEW worst AS FROM images ORDER BY crack_score DESC LIMIT 10")
    with pytest.raises(UsageError, match="a DuckDB database that `crackscan export` did not write"):
        export(config)
    with duckdb.connect(config.file, read_only=True) as connection:
        assert len(connection.sql("FROM worst").fetchall()) == 10


@pytest.mark.parametrize(
    ("form", "message"),
    [(form, r"A temporary file could not be written to .*: .*File too large\. Make room there") for form in FORMS],
)
def test_an_export_that_fails_leaves_the_older_one(form: Form, message: str, layout: Layout, tmp_path: Path) -> None:
    """The file appears whole or not at all, and nothing half written stays beside it."""
    config = ExportConfig(layout.url, form, str(tmp_path / "file"))
    export(config)
    before = (tmp_path / "file").read_bytes()

    with files_of_at_most(1000), pytest.raises(CrackscanError, match=message):
        export(config)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]


def test_an_unfinished_dataset_says_so(tmp_path: Path) -> None:
    """The photos so far are exported, and the command says that more will come."""
    write_dataset(str(tmp_path / "out"), finish=False)
    words = ["export", str(tmp_path / "out"), "--to", "geojson", "--out", str(tmp_path / "file")]
    shown = CliRunner().invoke(main, words)
    assert shown.exit_code == 0
    assert shown.stdout == f"Wrote 0 photos to file://{tmp_path}/file; 3 more were scored and have no position\n"
    assert shown.stderr == (
        f"{tmp_path}/out is not finished: more photos will come. `crackscan status` shows how many.\n"
    )


def test_the_command_says_what_it_wrote(layout: Layout, tmp_path: Path) -> None:
    """Rows by table, and the URL."""
    words = ["export", layout.url, "--to", "duckdb", "--out", str(tmp_path / "file")]
    lost = sum(row["status"] == "failed" for row in photos())
    tiles, cracks = (sum(len(row.get(name, [])) for row in photos()) for name in ("grid", "lines"))
    folders = len({(row["archive"], row["image"].rpartition("/")[0]) for row in photos()})
    unlike = sum(row.get("domain_score", 0) > CARD["domain_threshold"] for row in photos())
    assert CliRunner().invoke(main, words).output == (
        f"Wrote {cracks} cracks, {lost} failures, 51 findings, {folders} folders, {len(photos())} images, "
        f"{unlike} out_of_domain, {tiles} tiles to file://{tmp_path}/file\n"
    )


def refusals(out: Path) -> dict[str, tuple[list[str], str]]:
    """Words after `export OUT`, and the message."""
    return {
        "a table of no CSV": (
            ["--to", "duckdb", "--table", "tiles", "--out", "x"],
            "--table chooses what a CSV or map holds, and --to is duckdb. Leave one of them out.",
        ),
        "a map of folders": (
            ["--to", "geojson", "--table", "folders", "--out", "x"],
            "--table is folders, and a map shows images, tiles or cracks. Give one of those.",
        ),
        "a table of layers": (
            ["--to", "gpkg", "--table", "tiles", "--out", "x"],
            "--table chooses what a CSV or map holds, and --to is gpkg. Leave one of them out.",
        ),
        "a threshold of a map of cracks": (
            ["--to", "geojson", "--table", "cracks", "--threshold", "0.9", "--out", "x"],
            "--threshold moves crack_tiles, which is a column of images. Leave out one of the two.",
        ),
        "a spreadsheet of no CSV": (
            ["--to", "geojson", "--for", "excel", "--out", "x"],
            "--for chooses how a CSV is written, and --to is geojson. Leave one of them out.",
        ),
        "a threshold of tiles": (
            ["--to", "csv", "--table", "tiles", "--threshold", "0.9", "--out", "x"],
            "--threshold moves crack_tiles, which is a column of images. Leave out one of the two.",
        ),
        "a folder": (
            ["--to", "csv", "--out", str(out.parent)],
            (
                f"file://{out.parent} is a folder; expected the name of a file to write, such as "
                f"file://{out.parent}/export.csv."
            ),
        ),
        "inside the dataset": (
            ["--to", "csv", "--out", str(out / "photos.csv")],
            (
                f"file://{out}/photos.csv lies in the dataset file://{out}, which holds its own files only. Give "
                "another --out."
            ),
        ),
    }


def test_wrong_usage_is_refused_in_one_sentence(layout: Layout) -> None:
    """Exit code 2, and nothing is written."""
    out = storage.local_path(layout.url)
    before = sorted(out.parent.rglob("*"))
    for words, sentence in refusals(out).values():
        shown = CliRunner().invoke(main, ["export", str(out), *words])
        assert (shown.exit_code, shown.stderr) == (2, f"crackscan: {sentence}\n")
    assert sorted(out.parent.rglob("*")) == before


def test_a_remote_file_appears_whole(layout: Layout, tmp_path: Path) -> None:
    """On any store, a second time, too; there a database that is no export stays as well."""
    for form in (*FORMS, *FORMS):
        made = export(ExportConfig(layout.url, form, f"memory://exports/{form}"))
        assert storage.stat(made.url).size_bytes > 1000
    with duckdb.connect(tmp_path / "mine") as connection:
        connection.execute("CREATE TABLE images AS SELECT 1")
    storage.upload(tmp_path / "mine", "memory://exports/duckdb")
    with pytest.raises(UsageError, match="--overwrite"):
        export(ExportConfig(layout.url, "duckdb", "memory://exports/duckdb"))


def export_geojson(
    layout: Layout, path: Path, threshold: float | None = None, table: Table = "images"
) -> dict[str, Any]:
    """The exported file, parsed as strict JSON: no NaN."""

    def refuse(word: str) -> None:
        raise AssertionError(word)

    made = export(ExportConfig(layout.url, "geojson", str(path), table, threshold=threshold))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    assert made.rows == {table: len(found["features"])}
    return found


def test_each_positioned_photo_is_a_point(layout: Layout, tmp_path: Path) -> None:
    """Longitude comes first (RFC 7946), scores are unchanged, and photos without a position are missing."""
    positioned = [row for row in photos() if row.get("latitude") is not None]
    found = export_geojson(layout, tmp_path / "file")
    assert found["type"] == "FeatureCollection"
    by_id = {feature["id"]: feature for feature in found["features"]}
    assert by_id.keys() == {row["image_id"] for row in positioned}
    for row in positioned:
        feature = by_id[row["image_id"]]
        assert feature["type"] == "Feature"
        assert feature["geometry"]["type"] == "Point"
        assert feature["geometry"]["coordinates"] == [round(row[name], 7) for name in ("longitude", "latitude")]
        named = ("archive", "image", "crack_score", "domain_score", "crack_tiles", "tiles", "altitude_m", "camera")
        assert {name: feature["properties"][name] for name in named} == {name: row[name] for name in named}
        assert feature["properties"]["captured_at"] == row["captured_at"].isoformat()


def test_a_photo_on_a_map_tells_its_cracks(layout: Layout, tmp_path: Path) -> None:
    """Their number, metres and widest in mm where there is a scale, and the direction of the longest one."""
    found = {feature["id"]: feature["properties"] for feature in export_geojson(layout, tmp_path / "file")["features"]}
    scales = set()
    for row in photos():
        if row["image_id"] not in found:
            continue
        shown, scale = found[row["image_id"]], row["mm_per_px"]
        named = ("cracks", "crack_length_px", "widest_px", "widest_mm", "mm_per_px", "scale_source")
        assert {name: shown[name] for name in named} == {name: row[name] for name in named}
        assert shown["crack_length_m"] == (None if scale is None else round(row["crack_length_px"] * scale / 1000, 4))
        assert shown["longest_crack_deg"] == (12.5 + row["cracks"] - 1 if row["cracks"] else None)
        scales.add(scale)
    assert {None} < scales


def test_each_crack_of_a_positioned_photo_is_a_point(layout: Layout, tmp_path: Path) -> None:
    """It lies where its photo was taken, and has the columns of the table; those without a position are counted."""
    found = {
        feature["id"]: feature for feature in export_geojson(layout, tmp_path / "file", table="cracks")["features"]
    }
    cracks = {f"{row['image_id']}-{line['crack']}": (row, line) for row in photos() for line in row.get("lines", [])}
    placed = {name for name, (row, _) in cracks.items() if row["latitude"] is not None}
    assert found.keys() == placed
    for name, feature in found.items():
        row, line = cracks[name]
        assert feature["geometry"]["coordinates"] == [round(row[side], 7) for side in ("longitude", "latitude")]
        address = {column: row[column] for column in ("image_id", "archive", "image")}
        assert feature["properties"] == line | address | {"captured_at": row["captured_at"].isoformat()}
    made = export(ExportConfig(layout.url, "geojson", str(tmp_path / "file"), "cracks"))
    assert made.unplaced == len(cracks) - len(placed) > 0


@pytest.mark.parametrize("table", ["images", "cracks"])
def test_gdal_reads_a_map(table: Table, layout: Layout, tmp_path: Path) -> None:
    """As QGIS does: points in WGS 84, one a feature, and measures as numbers."""
    found = export_geojson(layout, tmp_path / "file.geojson", table=table)["features"]
    facts = pyogrio.read_info(tmp_path / "file.geojson")
    assert (facts["crs"], facts["geometry_type"], facts["features"]) == ("EPSG:4326", "Point", len(found))
    width = {"images": "widest_mm", "cracks": "crack_width_mm_p95"}[table]
    types = dict(zip(facts["fields"], facts["dtypes"], strict=True))
    assert types[width] == "float64"
    assert types["mm_per_px"] == "float64"


@pytest.mark.parametrize("version", [1, 2])
def test_an_older_dataset_has_no_cracks_to_export(version: int, tmp_path: Path) -> None:
    """Its tables of cracks are empty, its photos on the map have null instead of 0, and the outcome says so."""
    photo = ok("a.jpg") | {"latitude": 48.0, "longitude": 11.0}
    layout = write_dataset(str(tmp_path / "out"), [[photo]], schema_version=version)
    forms: tuple[Form, ...] = ("csv", "geojson")
    for form in forms:
        made = export(ExportConfig(layout.url, form, str(tmp_path / form), "cracks"))
        assert (made.rows, made.is_measured) == ({"cracks": 0}, False)
    assert export(
        ExportConfig(write_dataset(str(tmp_path / "none"), [[]]).url, "csv", str(tmp_path / "csv"))
    ).is_measured
    [feature] = export_geojson(layout, tmp_path / "geojson")["features"]
    assert {feature["properties"][name] for name in ("cracks", "crack_length_m", "longest_crack_deg")} == {None}


@pytest.mark.parametrize("table", ["images", "cracks"])
def test_the_file_follows_rfc_7946(table: Table, layout: Layout, tmp_path: Path) -> None:
    """No `crs`, no byte order mark, degrees in range, two coordinates, and a unique id for each point."""
    found = export_geojson(layout, tmp_path / "file", table=table)
    text = (tmp_path / "file").read_bytes()
    assert text.startswith(b'{"type": "FeatureCollection"')
    assert not {"crs", "geometry", "properties"} & found.keys()  # section 7.1 forbids the latter two
    for feature in found["features"]:
        assert feature.keys() == {"type", "id", "geometry", "properties"}
        longitude, latitude = feature["geometry"]["coordinates"]
        assert -180 <= longitude <= 180
        assert -90 <= latitude <= 90
    assert len({feature["id"] for feature in found["features"]}) == len(found["features"])


def test_the_points_are_sorted_by_archive_and_image(layout: Layout, tmp_path: Path) -> None:
    """So the same dataset gives the same file."""
    first, again = (export_geojson(layout, tmp_path / name) for name in ("first", "again"))
    places = [(each["properties"]["archive"], each["properties"]["image"]) for each in first["features"]]
    assert places == sorted(places)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "again").read_bytes()
    assert first == again


def test_a_threshold_moves_the_counts_of_a_map(layout: Layout, tmp_path: Path) -> None:
    """`crack_tiles` follows it, and scores do not."""
    low, high = (export_geojson(layout, tmp_path / "file", threshold)["features"] for threshold in (0.0, 1.0))
    assert all(each["properties"]["crack_tiles"] == each["properties"]["tiles"] for each in low)
    assert all(each["properties"]["crack_tiles"] == 0 for each in high)
    assert [each["properties"]["crack_score"] for each in low] == [each["properties"]["crack_score"] for each in high]


def test_any_name_is_kept(tmp_path: Path) -> None:
    """Quotes, line ends and letters of any script; also of a photo without time; scores have their short decimals."""
    name = 'Brücke "7"\n橋/\\x.jpg'
    photo = ok(name) | {"latitude": -0.0, "longitude": -math.pi, "crack_score": 0.7, "scored_at": BEGAN_AT}
    [feature] = export_geojson(write_dataset(str(tmp_path / "out"), [[photo]]), tmp_path / "file")["features"]
    assert feature["properties"]["image"] == name
    assert feature["properties"]["captured_at"] is None
    assert feature["properties"]["crack_score"] == 0.7
    assert feature["geometry"]["coordinates"] == [-3.1415927, 0]


def test_a_dataset_without_positions_is_an_empty_map(tmp_path: Path) -> None:
    """It is still valid GeoJSON."""
    assert export_geojson(write_dataset(str(tmp_path / "out")), tmp_path / "file")["features"] == []
