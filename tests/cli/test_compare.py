"""`crackscan compare` as a user types it."""

from pathlib import Path

from click.testing import CliRunner

from pipeline.cli import main
from tests.helpers.scored_photos import photo, scored, zipped

AGREED = (
    "Cracked in both 1, only in A 0, only in B 0, in neither 0: the same for 100.0%, Cohen's kappa not defined, as "
    "both say the same of all."
)


def test_a_comparison_is_told_and_written(tmp_path: Path) -> None:
    """Counts, agreement, the largest changes and where the files are."""
    a = scored(tmp_path / "a", zipped(tmp_path / "a.zip", {"x.png": photo(51), "y.png": photo(102)}))
    b = scored(tmp_path / "b", zipped(tmp_path / "b.zip", {"x.png": photo(204), "z.png": photo(102)}))
    words = ["compare", a.url, b.url, "--out", str(tmp_path / "made"), "--threshold", "0.1"]
    told = CliRunner().invoke(main, words)
    assert (told.exit_code, told.output.splitlines()) == (0, [
        "worse           1  the score is higher in B, by the margin or more",
        "better          0  the score is lower in B, by the margin or more",
        "same            0  the scores differ by less",
        "new             1  only in B",
        "gone            1  only in A",
        "failed          0  in both, but one of them has no score",
        "unclear         0  it cannot be told whether the other has it",
        AGREED,
        "+0.600  0.200 to 0.800  x.png",
        f"file://{tmp_path}/made/comparison.parquet",
        f"file://{tmp_path}/made/comparison.html",
    ])  # fmt: skip
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"comparison.parquet", "comparison.html"}


def test_datasets_with_nothing_in_common_are_told(tmp_path: Path) -> None:
    """And a dataset that is none is wrong usage."""
    a = scored(tmp_path / "a", zipped(tmp_path / "a.zip", {"x.png": photo(51)}))
    b = scored(tmp_path / "b", zipped(tmp_path / "b.zip", {"y.png": photo(51)}))
    told = CliRunner().invoke(main, ["compare", a.url, b.url, "--out", str(tmp_path / "made")])
    assert "No photo has a score in both." in told.output
    told = CliRunner().invoke(main, ["compare", a.url, str(tmp_path)])
    assert (told.exit_code, told.stderr) == (
        2,
        f"crackscan: There is no dataset at file://{tmp_path}; expected a folder that `crackscan score` wrote.\n",
    )
