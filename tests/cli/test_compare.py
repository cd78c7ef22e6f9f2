"""The output of `crackscan compare`."""

from pathlib import Path

from click.testing import CliRunner

from pipeline.cli import main
from pipeline.dataset.sql import query
from pipeline.findings.element_rules import PARTS, ElementRule, ElementRules
from pipeline.findings.elements import set_elements
from pipeline.reports.crack_growth import REASONS
from tests.helpers.crack_inspections import write_inspections
from tests.helpers.scored_photos import photo, score_archives, zip_photos
from tests.helpers.verdict_rows import judge

AGREED = (
    "With a tile at or over the threshold: in both 1, only in A 0, only in B 0, in neither 0. The same for 100.0%; "
    "Cohen's kappa (1 full agreement, 0 as by chance) not defined, as both say the same of all."
)


def test_a_comparison_is_printed_and_written(tmp_path: Path) -> None:
    """Counts, agreement, the largest changes and the places of the files."""
    a = score_archives(tmp_path / "a", zip_photos(tmp_path / "a.zip", {"x.png": photo(51), "y.png": photo(102)}))
    b = score_archives(tmp_path / "b", zip_photos(tmp_path / "b.zip", {"x.png": photo(204), "z.png": photo(102)}))
    words = ["compare", a.url, b.url, "--out", str(tmp_path / "made"), "--threshold", "0.1"]
    shown = CliRunner().invoke(main, words)
    assert (shown.exit_code, shown.output.splitlines()) == (0, [
        "rose            1  the score is higher in B, by the margin or more",
        "fell            0  the score is lower in B, by the margin or more",
        "same            0  the scores differ by less",
        "new             1  only in B",
        "gone            1  only in A",
        "failed          0  in both, but one of them has no score",
        "unclear         0  it cannot be told whether the other has it",
        AGREED,
        "+0.600  0.200 to 0.800  x.png",
        "Cracks were not measured in A and B, so it cannot be told which grew.",
        f"file://{tmp_path}/made/comparison.parquet",
        f"file://{tmp_path}/made/comparison.html",
    ])  # fmt: skip
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"comparison.parquet", "comparison.html"}


def test_datasets_may_have_nothing_in_common(tmp_path: Path) -> None:
    """The output says so; a folder without a dataset is wrong usage."""
    a = score_archives(tmp_path / "a", zip_photos(tmp_path / "a.zip", {"x.png": photo(51)}))
    b = score_archives(tmp_path / "b", zip_photos(tmp_path / "b.zip", {"y.png": photo(51)}))
    shown = CliRunner().invoke(main, ["compare", a.url, b.url, "--out", str(tmp_path / "made")])
    assert "No photo has a score in both." in shown.output
    shown = CliRunner().invoke(main, ["compare", a.url, str(tmp_path)])
    assert (shown.exit_code, shown.stderr) == (
        2,
        f"crackscan: There is no dataset at file://{tmp_path}; expected a folder that `crackscan score` wrote.\n",
    )


def test_photos_without_positions_cannot_match_by_place(tmp_path: Path) -> None:
    """Exit code 2, and nothing is written: a table of `unclear` would say nothing."""
    a = score_archives(tmp_path / "a", zip_photos(tmp_path / "a.zip", {"x.png": photo(51)}))
    words = ["compare", a.url, a.url, "--by", "place", "--out", str(tmp_path / "made")]
    shown = CliRunner().invoke(main, words)
    assert (shown.exit_code, shown.output) == (
        2,
        (
            "crackscan: No position in the EXIF or XMP of the 1 photo in A and of the 1 photo in B, so --by place can "
            "match nothing. Leave it out to match by name.\n"
        ),
    )
    assert not (tmp_path / "made").exists()


def test_a_comparison_of_nothing_in_common_says_why(tmp_path: Path) -> None:
    """On the terminal and on the page; it is done, so the exit code is 0."""
    a = score_archives(tmp_path / "a", zip_photos(tmp_path / "a.zip", {"x.png": photo(51)}))
    b = score_archives(tmp_path / "b", zip_photos(tmp_path / "b.zip", {"y.png": photo(51)}))
    shown = CliRunner().invoke(main, ["compare", a.url, b.url, "--out", str(tmp_path / "made")])
    hint = "No photo in A could be matched with one in B by the end of its path; A has x.png, B has y.png."
    assert shown.exit_code == 0
    assert hint in shown.output
    assert hint in (tmp_path / "made" / "comparison.html").read_text(encoding="utf-8")


def test_growth_of_cracks_is_printed(tmp_path: Path) -> None:
    """Counts, pairs that could not be compared with the reason, and the place of the table."""
    a, b = write_inspections(tmp_path)
    words = ["compare", a.url, b.url, "--out", str(tmp_path / "made")]
    shown = CliRunner().invoke(main, words)
    assert (shown.exit_code, shown.stdout.splitlines()[-5:]) == (0, [
        "Cracks of 1 pair of photos: 1 new, 1 longer, 0 wider, 1 gone, 1 same, 0 unclear, 0 outside.",
        f"Not compared: the cracks of deck.png. {REASONS['few_matches']}",
        f"file://{tmp_path}/made/comparison.parquet",
        f"file://{tmp_path}/made/comparison.html",
        f"file://{tmp_path}/made/crack_changes.parquet",
    ])  # fmt: skip
    shown = CliRunner().invoke(main, [*words, "--cracks", "1"])
    assert "1 more pair with cracks: give --cracks 2." in shown.stdout


def test_changes_are_told_by_element(tmp_path: Path) -> None:
    """In the output and in the page, where names stay text; a crack that was rejected in B is not new there."""
    a, b = write_inspections(tmp_path)
    words = ["compare", a.url, b.url, "--out", str(tmp_path / "made")]
    rules = [
        ElementRule("row", f"{name}*", None, dict.fromkeys(PARTS, "") | {"span": f"<b>{name}"})
        for name in ("pier", "deck")
    ]
    set_elements(a.url, ElementRules(PARTS, rules))
    assert "pier:" not in CliRunner().invoke(main, words).stdout
    set_elements(b.url, ElementRules(PARTS, rules))
    told = [line for line in CliRunner().invoke(main, words).stdout.splitlines() if line.startswith("<b>")]
    assert told[0] == "<b>deck: 1 unknown."
    assert told[1].startswith("<b>pier: 1 new, 1 longer, 1 gone, 1 same, ")
    page = (tmp_path / "made" / "comparison.html").read_text(encoding="utf-8")
    assert "<td>&lt;b&gt;pier</td>" in page
    assert "<b>pier" not in page
    [row] = query(b.url, "SELECT image_id FROM images WHERE image = 'pier.png'").to_pylist()
    judge(b, row["image_id"], "no_crack", cracks=[2])
    assert any(
        line.startswith("<b>pier: 1 longer, 1 gone, 1 same")
        for line in CliRunner().invoke(main, words).stdout.splitlines()
    )
