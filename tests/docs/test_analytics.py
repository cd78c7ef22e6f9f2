"""`docs/analytics.md`: every block runs, the four tools agree with plain Python, and tables have our columns."""

import math
import re
import shutil
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pipeline.core import table_schemas
from pipeline.dataset import sql
from tests import ROOT
from tests.helpers.two_inspections import CARD, photos, write_inspections

PAGE = (ROOT / "docs" / "analytics.md").read_text(encoding="utf-8")
TOOLS = ("DuckDB", "pandas", "Polars", "pyarrow")
QUESTIONS = range(1, 16)
LINE = 0.5

Rows = list[dict[str, Any]]


def section(title: str) -> str:
    """The text below a heading that begins so."""
    return PAGE.split(f"\n## {title}")[1].split("\n## ")[0]


def blocks(title: str) -> dict[str, str]:
    """The section's code, tool by tool."""
    found = re.findall(r"\*\*(\w+)\*\*[^\n]*\n\n```\w+\n(.*?)```", section(title), re.DOTALL)
    assert tuple(tool for tool, _ in found) == TOOLS
    return dict(found)


@pytest.fixture(scope="module", autouse=True)
def scores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real dataset, called `scores` as on the page."""
    folder = tmp_path_factory.mktemp("analytics")
    write_inspections(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder / "scores"


@pytest.fixture(scope="module")
def ask(scores: Path) -> Iterator[Callable[[str, str], Rows]]:
    """Run a block in a tool that has opened the dataset as the page says."""
    assert scores.is_dir()
    opened = blocks("Opening it")
    names: dict[str, dict[str, Any]] = {tool: {} for tool in TOOLS}
    for tool in TOOLS[1:]:
        exec(opened[tool], names[tool])  # noqa: S102 - the page's own code
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = 'UTC'; {opened['DuckDB']}")

        def asked(tool: str, code: str) -> Rows:
            if tool == "DuckDB":
                found = connection.sql(code)
                assert found is not None
                return rows(found.to_arrow_table())
            exec(code, names[tool])  # noqa: S102 - the page's own code
            return rows(names[tool]["answer"])

        yield asked


def rows(answer: pd.DataFrame | pl.DataFrame | pa.Table) -> Rows:
    """A tool's table as rows."""
    if isinstance(answer, pl.DataFrame):
        return answer.to_dicts()
    found: Rows = answer.to_dict("records") if isinstance(answer, pd.DataFrame) else answer.to_pylist()
    return found


def same(found: Rows, expected: Rows) -> None:
    """Check rows and their order; numbers up to single precision, and pandas' NaN is nothing."""
    assert [list(row) for row in found] == [list(row) for row in expected]
    for found_row, expected_row in zip(found, expected, strict=True):
        for name, value in expected_row.items():
            other = None if isinstance(found_row[name], float) and math.isnan(found_row[name]) else found_row[name]
            assert other == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value), name


@pytest.mark.parametrize("number", QUESTIONS)
def test_the_four_tools_agree(number: int, ask: Callable[[str, str], Rows], scores: Path) -> None:
    """Each question's four answers are what plain Python finds in the photos that were written; `query`'s, too."""
    expected = ANSWERS[number - 1]()
    assert expected
    code = blocks(f"{number}. ")
    for tool in TOOLS:
        same(ask(tool, code[tool]), expected)
    same(sql.query(str(scores), code["DuckDB"]).to_pylist(), expected)


@pytest.mark.parametrize(("table", "column"), [("tiles", "grid"), ("cracks", "lines")])
def test_tiles_and_cracks_are_read_with_the_join(table: str, column: str, ask: Callable[[str, str], Rows]) -> None:
    """Beside the dataset's lie some that no commit names; no tool sees them."""
    committed = [{"n": sum(len(row.get(column, ())) for row in photos())}]
    [stored] = ask("DuckDB", f"SELECT count(*) AS n FROM read_parquet('scores/{table}/*.parquet')")
    assert stored["n"] > committed[0]["n"] > 0
    assert ask("DuckDB", f"SELECT count(*) AS n FROM {table}") == committed
    assert ask("pandas", f"answer = pd.DataFrame({{'n': [len({table})]}})") == committed
    assert ask("Polars", f"answer = {table}.select(pl.len().alias('n')).collect()") == committed
    assert ask("pyarrow", f"answer = pa.table({{'n': [{table}.num_rows]}})") == committed


def test_two_datasets_join_on_a_key_of_three(ask: Callable[[str, str], Rows], scores: Path) -> None:
    """Read together, every photo and tile counts once in each; on (part, image_id) alone the rows double."""
    assert ask("DuckDB", "SELECT 1 AS opened")
    again = scores.parent / "scores-2027"
    shutil.copytree(scores, again, dirs_exist_ok=True)
    tiles = sum(len(row.get("grid", ())) for row in photos())
    sql_block, python_block = (
        re.findall(rf"\*\*{tool}\*\*\n\n```\w+\n(.*?)```", section("Several datasets"), re.DOTALL)[0]
        for tool in ("DuckDB", "pandas")
    )
    join = "SELECT count(*) FROM all_tiles JOIN (FROM all_images WHERE status = 'ok') USING ({})"
    with duckdb.connect() as connection:
        connection.execute(sql_block)
        counts = [
            connection.sql(join.format(key)).fetchall()[0][0] for key in ("dataset, part, image_id", "part, image_id")
        ]
    assert counts == [2 * tiles, 4 * tiles]
    names: dict[str, Any] = {"pd": pd}
    exec(python_block, names)  # noqa: S102 - the page's own code
    assert len(names["all_tiles"]) == 2 * tiles
    merged = names["all_tiles"].merge(names["all_photos"], on=["dataset", "part", "image_id"])
    assert len(merged) == 2 * tiles


def test_whole_numbers_stay_whole(scores: Path) -> None:
    """With the option of the page; without it, nulls make floats of them."""
    assert 'dtype_backend="numpy_nullable"' in PAGE
    assert str(pd.read_parquet(scores / "images")["tiles"].dtype) == "float64"
    for backend in ("numpy_nullable", "pyarrow"):
        found = pd.read_parquet(scores / "images", dtype_backend=backend)["tiles"]
        assert str(found.dtype) in {"Int32", "int32[pyarrow]"}


def test_folders_are_counted_as_the_view_counts_them(ask: Callable[[str, str], Rows], scores: Path) -> None:
    """The page's question gives the rows of the view `folders`."""
    [code] = [block for block in re.findall(r"```sql\n(.*?)```", section("Opening it"), re.DOTALL) if "folder" in block]
    view = "SELECT archive, folder, photos, crack_score AS worst FROM folders"
    ordered = f"{view} ORDER BY worst DESC NULLS LAST, archive, folder"
    assert ask("DuckDB", code) == sql.query(str(scores), ordered).to_pylist()


def test_there_are_fifteen_questions() -> None:
    """Numbered, each with a question mark."""
    assert [int(number) for number in re.findall(r"^## (\d+)\. .+\?$", PAGE, re.MULTILINE)] == [*QUESTIONS]


def spark_is_missing() -> str | None:
    """Why Spark cannot run here."""
    if shutil.which("java") is None:
        return "no Java: install a JRE, 17 or later"
    return "no pyspark: pip install pyspark" if find_spec("pyspark") is None else None


@pytest.mark.ray
def test_spark_agrees(scores: Path) -> None:
    """The page's block gives the answer of question 2, in a Spark of one thread."""
    if why := spark_is_missing():
        pytest.skip(why)
    from pyspark.sql import SparkSession

    settings = {"spark.ui.enabled": "false", "spark.sql.session.timeZone": "UTC", "spark.sql.shuffle.partitions": "1"}
    settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    builder = SparkSession.builder.master("local[1]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    names: dict[str, Any] = {"spark": builder.getOrCreate()}
    try:
        [code] = re.findall(r"```python\n(.*?)```", section("Spark"), re.DOTALL)
        exec(code, names)  # noqa: S102 - the page's own code
        same([row.asDict() for row in names["answer"].collect()], ANSWERS[1]())
        tiles = sum(len(row.get("grid", ())) for row in photos())
        assert names["tiles"].count() == tiles
        assert names["spark"].table("tiles").count() == tiles
    finally:
        names["spark"].stop()
    assert scores.is_dir()


HIVE = {pa.int32(): "int", pa.int64(): "bigint", pa.string(): "string", pa.float64(): "double", pa.float32(): "float",
        pa.timestamp("ms"): "timestamp", pa.timestamp("us", tz="UTC"): "timestamp"}  # fmt: skip
TRINO = HIVE | {pa.int32(): "integer", pa.string(): "varchar", pa.float32(): "real", pa.timestamp("ms"): "timestamp(3)",
                pa.timestamp("us", tz="UTC"): "timestamp(3)"}  # fmt: skip


@pytest.mark.parametrize(("engine", "types"), [("Athena", HIVE), ("Trino", TRINO)])
@pytest.mark.parametrize(
    ("table", "columns"),
    [("images", table_schemas.IMAGES), ("all_tiles", table_schemas.TILES), ("all_cracks", table_schemas.CRACKS)],
)
def test_tables_of_other_engines_have_our_columns(
    engine: str, types: dict[pa.DataType, str], table: str, columns: pa.Schema
) -> None:
    """Every column of the schema in its order, in the engine's type for it."""
    [body] = re.findall(rf"CREATE (?:EXTERNAL )?TABLE {table} \(\n(.*?)\n\)", section(engine), re.DOTALL)
    declared = [line.strip().rstrip(",").split(maxsplit=1) for line in body.splitlines()]
    assert [(name.strip('`"'), kind) for name, kind in declared] == [
        (field.name, types[field.type]) for field in columns
    ]


# The answers once more, in plain Python over the photos that were written.


def ok() -> Rows:
    """The scored photos."""
    return [row for row in photos() if row["status"] == "ok"]


def grouped(items: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], Any]) -> dict[Any, Rows]:
    """Items by a key."""
    groups = defaultdict[Any, Rows](list)
    for item in items:
        groups[key(item)].append(item)
    return groups


def worst_photos() -> Rows:
    """Question 1."""
    ranked = sorted(ok(), key=lambda row: (row["archive"], -row["crack_score"], row["image"]))
    names = ("archive", "image", "crack_score", "crack_tiles", "tiles")
    by_archive = grouped(ranked, lambda row: row["archive"])
    return [{name: row[name] for name in names} for group in by_archive.values() for row in group[:3]]


def cracked_by_month() -> Rows:
    """Question 2."""
    groups = grouped(ok(), lambda row: (row["archive"].split("/")[-2], f"{row['captured_at']:%Y-%m}"))
    return [
        {
            "bridge": bridge,
            "month": month,
            "photos": len(rows),
            "cracked": share(rows, lambda row: row["crack_tiles"] > 0),
        }
        for (bridge, month), rows in sorted(groups.items())
    ]


def share(items: Rows, is_so: Callable[[dict[str, Any]], bool]) -> float:
    """What part of the items is so."""
    return statistics.fmean(is_so(item) for item in items)


def worst_places() -> Rows:
    """Question 3."""
    placed = [row for row in ok() if row["latitude"] is not None]
    cells = grouped(
        placed, lambda row: tuple(math.floor(row[name] * 1000) / 1000 for name in ("latitude", "longitude"))
    )
    found = [
        {
            "south": south,
            "west": west,
            "photos": len(rows),
            "cracked": sum(row["crack_tiles"] for row in rows) / sum(row["tiles"] for row in rows),
            "worst": max(row["crack_score"] for row in rows),
        }
        for (south, west), rows in cells.items()
    ]
    return sorted(found, key=lambda cell: (-cell["cracked"], cell["south"], cell["west"]))[:10]


def failures() -> Rows:
    """Question 4."""
    names = ("archive", "failure_stage", "failure_kind")
    groups = grouped(
        (row for row in photos() if row["status"] == "failed"), lambda row: tuple(row[name] for name in names)
    )
    found = [
        dict(zip(names, key, strict=True)) | {"photos": len(rows), "example": min(row["image"] for row in rows)}
        for key, rows in groups.items()
    ]
    return sorted(found, key=lambda row: (-row["photos"], row["archive"], row["failure_kind"]))


def neighbours() -> Rows:
    """Question 5."""
    pairs: Rows = []
    for row in ok():
        tiles = {(tile["row"], tile["col"]): tile for tile in row["grid"]}
        for (line, col), left in tiles.items():
            right = tiles.get((line, col + 1))
            if right is not None and left["left_px"] + left["width_px"] > right["left_px"]:
                pairs.append({"archive": row["archive"], "scores": (left["crack_score"], right["crack_score"])})
    return [
        {
            "archive": archive,
            "pairs": len(rows),
            "difference": statistics.fmean(abs(row["scores"][0] - row["scores"][1]) for row in rows),
            "agree": share(rows, lambda row: len({score >= LINE for score in row["scores"]}) == 1),
        }
        for archive, rows in sorted(grouped(pairs, lambda pair: pair["archive"]).items())
    ]


def strangers() -> Rows:
    """Question 6."""
    found = [row for row in ok() if row["domain_score"] >= CARD["domain_threshold"]]
    names = ("archive", "image", "domain_score", "crack_score")
    ranked = sorted(found, key=lambda row: (-row["domain_score"], row["archive"], row["image"]))
    return [{name: row[name] for name in names} for row in ranked]


def nights() -> Rows:
    """Question 7; a commit has ten photos at most."""
    groups = grouped(photos(), lambda row: row["scored_at"].date())
    return [
        {
            "run_id": run_id,
            "began": min(row["scored_at"] for row in rows),
            "ended": max(row["scored_at"] for row in rows),
            "parts": math.ceil(len(rows) / 10),
            "photos": len(rows),
            "failed": sum(row["status"] == "failed" for row in rows),
            "tiles": sum(row.get("tiles", 0) for row in rows),
        }
        for run_id, (_, rows) in zip(("first", "second", "third"), sorted(groups.items()), strict=True)
    ]


def thresholds() -> Rows:
    """Question 8."""
    return [
        {
            "threshold": line,
            "crack_tiles": sum(tile["crack_score"] >= line for row in ok() for tile in row["grid"]),
            "photos": sum(row["crack_score"] >= line for row in ok()),
        }
        for line in (0.25, 0.5, 0.75, 0.9)
    ]


def cameras() -> Rows:
    """Question 9; photos without an altitude come last."""

    def band(row: dict[str, Any]) -> tuple[str, float]:
        return row["camera"], math.inf if row["altitude_m"] is None else row["altitude_m"] // 10 * 10

    return [
        {
            "camera": camera,
            "from_m": None if from_m == math.inf else from_m,
            "photos": len(rows),
            "crack_score": statistics.fmean(row["crack_score"] for row in rows),
            "domain_score": statistics.fmean(row["domain_score"] for row in rows),
        }
        for (camera, from_m), rows in sorted(grouped(ok(), band).items())
    ]


def hot_places() -> Rows:
    """Question 10."""
    tiles = [tile | {"camera": row["camera"]} for row in ok() for tile in row["grid"]]
    names = ("camera", "row", "col")
    places = [
        dict(zip(names, key, strict=True))
        | {"photos": len(rows), "cracked": share(rows, lambda tile: tile["crack_score"] >= LINE)}
        for key, rows in grouped(tiles, lambda tile: tuple(tile[name] for name in names)).items()
        if len(rows) >= 5
    ]
    return sorted(places, key=lambda place: (-place["cracked"], *(place[name] for name in names)))[:10]


def cracks() -> Rows:
    """The cracks of the scored photos, each with the columns of its photo."""
    return [row | line for row in ok() for line in row["lines"]]


def metres_of_wide_cracks() -> Rows:
    """Question 11."""
    wide = [crack for crack in cracks() if (crack["crack_width_mm_p95"] or 0) > 0.3]
    found = [
        {"archive": archive, "cracks": len(rows), "metres": sum(crack["length_mm"] for crack in rows) / 1000}
        for archive, rows in grouped(wide, lambda crack: crack["archive"]).items()
    ]
    return sorted(found, key=lambda row: (-row["metres"], row["archive"]))


def widest_cracks() -> Rows:
    """Question 12."""
    names = ("archive", "image", "crack", "crack_width_mm_p95", "crack_width_px_p95", "scale_source")
    known = [crack for crack in cracks() if crack["crack_width_mm_p95"] is not None]
    ranked = sorted(known, key=lambda row: (-row["crack_width_mm_p95"], *(row[name] for name in names[:3])))
    return [{name: crack[name] for name in names} for crack in ranked[:10]]


def directions() -> Rows:
    """Question 13."""
    groups = grouped(cracks(), lambda crack: (crack["archive"], crack["orientation_deg"] // 30 % 6 * 30))
    return [
        {
            "archive": archive,
            "from_deg": from_deg,
            "cracks": len(rows),
            "length_px": sum(crack["length_px"] for crack in rows),
        }
        for (archive, from_deg), rows in sorted(groups.items())
    ]


def photos_with_a_metre() -> Rows:
    """Question 14."""
    found = [row | {"metres": row["crack_length_px"] * (row["mm_per_px"] or 0) / 1000} for row in ok()]
    names = ("archive", "image", "cracks", "metres", "scale_source")
    ranked = sorted(found, key=lambda row: (-row["metres"], row["archive"], row["image"]))
    return [{name: row[name] for name in names} for row in ranked if row["metres"] > 1]


def too_thin() -> Rows:
    """Question 15."""
    groups = grouped(cracks(), lambda crack: crack["archive"])
    return [
        {
            "archive": archive,
            "cracks": len(rows),
            "too_thin": share(rows, lambda crack: crack["width_status"] == "too_thin"),
        }
        for archive, rows in sorted(groups.items())
    ]


ANSWERS: tuple[Callable[[], Rows], ...] = (
    worst_photos,
    cracked_by_month,
    worst_places,
    failures,
    neighbours,
    strangers,
    nights,
    thresholds,
    cameras,
    hot_places,
    metres_of_wide_cracks,
    widest_cracks,
    directions,
    photos_with_a_metre,
    too_thin,
)
