"""A table of scales is read as people write it, and every mistake in it is named with its place."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import UsageError
from pipeline.measurement.scale import ScaleRow, ScaleRule
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.scale_table import make_scale_rule, read_scale_table

HEADER = "image,mm_per_px\n"
EXPECTED = "the columns image, and mm_per_px or distance_m"

ROWS = [ScaleRow("pier-7/*.JPG", 0.42, None), ScaleRow("*", None, 3.5)]


def write(folder: Path, text: str | bytes) -> str:
    """Write a table; return its path."""
    path = folder / "scales.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        "image,mm_per_px,distance_m\npier-7/*.JPG,0.42,\n*,,3.5\n",
        "image;mm_per_px;distance_m\r\npier-7/*.JPG;0,42;\r\n\r\n*;;3,5\r\n",
        "\ufeffIMAGE\tnote\tDistance_m\t mm_per_px \npier-7/*.JPG\tnear\t\t0.42\n*\t\t3.5\n",
        'image,mm_per_px,distance_m\n"pier-7/*.JPG","0.42"\n"*","","3.5"',
    ],
    ids=["commas", "spreadsheet", "tabs", "quotes"],
)
def test_a_csv_is_read_as_it_comes(tmp_path: Path, text: str) -> None:
    """With commas, semicolons or tabs, decimal commas, other columns, and columns in any order and case."""
    assert read_scale_table(write(tmp_path, text)).rows == ROWS


@pytest.mark.parametrize("numbers", [pa.float64(), pa.string()])
def test_parquet_is_read_too(tmp_path: Path, numbers: pa.DataType) -> None:
    """With nulls, not-a-numbers and texts for what is missing."""
    missing = float("nan") if numbers == pa.float64() else ""
    columns = {
        "image": ["pier-7/*.JPG", "*"],
        "mm_per_px": pa.array([0.42 if numbers == pa.float64() else "0.42", missing], numbers),
        "distance_m": pa.array([None, 3.5 if numbers == pa.float64() else "3.5"], numbers),
        "pixels": [[1], [2]],
    }
    path = tmp_path / "scales.parquet"
    pq.write_table(pa.table(columns), path)

    assert read_scale_table(str(path)).rows == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", f" has the columns none; expected {EXPECTED}."),
        ("name,mm\na,1\n", f" has the columns name, mm; expected {EXPECTED}."),
        ("image\na\n", f" has the columns image; expected {EXPECTED}."),
        ("image,mm_per_px\n", f" has no rows; expected {EXPECTED}, a row for each photo or glob of photos."),
        (HEADER + "a,1\n,2\n", ", line 3 has no image; expected a name or a glob, such as DJI_0417.JPG or */pier-7/*."),
        (HEADER + "a\n", ", line 2 has neither mm_per_px nor distance_m; give one of them, or leave the row out."),
        *((f"{HEADER}a,{text}\n", f", line 2: mm_per_px is '{text}'; expected millimetres to a pixel, more than 0.")
          for text in ("0", "-1", "nan", "inf", "0.4 mm")),
        ("image,distance_m\na,3500\n",
         ", line 2: distance_m is '3500'; expected metres from the camera to the surface, 0.05 to 500."),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    """What was found, where, and what was expected."""
    url = write(tmp_path, text)

    with pytest.raises(UsageError) as error:
        read_scale_table(url)

    assert str(error.value) == f"{url}{message}"


@pytest.mark.parametrize("data", [b"image,mm_per_px\n\xff\xfe,1\n", b'image,mm_per_px\n"a,1\n'])
def test_what_is_no_csv_is_refused(tmp_path: Path, data: bytes) -> None:
    """Of another encoding, or with a quote without its pair."""
    with pytest.raises(UsageError, match=r"scales\.csv is no CSV in UTF-8: .*Save it again as CSV"):
        read_scale_table(write(tmp_path, data))


def test_a_damaged_parquet_file_is_refused(tmp_path: Path) -> None:
    """With its name."""
    path = tmp_path / "scales.parquet"
    path.write_bytes(b"PAR1 and more")

    with pytest.raises(UsageError, match=r"--scale: .*scales\.parquet is no sound Parquet file.*Write it again"):
        read_scale_table(str(path))


def test_a_missing_table_is_wrong_usage(tmp_path: Path) -> None:
    """The option at fault is named."""
    with pytest.raises(UsageError, match=r"^--scale: .*none\.csv"):
        read_scale_table(str(tmp_path / "none.csv"))


def test_an_address_with_a_secret_is_refused() -> None:
    """Messages would show it."""
    with pytest.raises(UsageError, match="--scale"):
        read_scale_table("s3://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMIK7MDENG@inspections/scales.csv")


def test_the_rule_of_a_run_is_what_its_options_say(tmp_path: Path) -> None:
    """All three of them."""
    url = write(tmp_path, "image,mm_per_px,distance_m\npier-7/*.JPG,0.42,\n*,,3.5\n")
    rule = make_scale_rule(ScoreConfig((), "out", mm_per_px=0.25, scale_table=url, scale_from="coarse"))

    assert (rule.mm_per_px, rule.table.rows, rule.use_coarse) == (0.25, ROWS, True)
    assert make_scale_rule(ScoreConfig((), "out")) == ScaleRule()
