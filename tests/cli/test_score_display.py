"""What `score` prints at the end of a run, of datasets with known cracks."""

from pathlib import Path

import pytest

from pipeline.cli.score_display import end_run
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query
from pipeline.scoring.progress import Progress, ScoreSummary
from tests.helpers.scored_photos import photo, score_archives, zip_photos

PHOTOS = {"few.png": photo(150), "none.png": photo(250), "most.png": photo(140, red=250), "broken.png": b"no"}


def shown(layout: Layout, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of a run in which nothing was left to do."""
    summary = ScoreSummary(Progress(4), 4, 4, 1, 0, 0, is_finished=True, skipped={})
    with pytest.raises(SystemExit):
        end_run(summary, layout.url, 1.0, "never")
    return capsys.readouterr().out.splitlines()


def test_cracks_are_told_with_the_photos_that_have_most(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In metres with the source of the scale; those unlike the training photos last. The query that follows works."""
    archive = zip_photos(tmp_path / "one.zip", PHOTOS)
    scale = dict.fromkeys(PHOTOS, 10.0)
    layout = score_archives(tmp_path / "out", archive, cracks={"few.png": 1, "most.png": 3}, mm_per_px=scale)
    lines = shown(layout, capsys)
    assert lines[1:5] == [
        "Cracks: 4 in 2 photos, 0.85 m, the widest 15.0 mm (scale given by you); 1 has no width.",
        "  0.588  few.png: 1 crack, 0.20 m, the widest 15.0 mm (scale given by you)",
        "  0.980  none.png: no crack counted",
        "  0.549  most.png: 3 cracks, 0.65 m, the widest 35.0 mm (scale given by you)  (unlike the training photos)",
    ]
    start = lines.index("Next:")
    assert lines[start + 1] == f"  crackscan report {layout.url}"
    found = query(layout.url, lines[start + 2].split("'")[1]).to_pylist()
    assert [(row["image"], row["crack_width_mm_p95"], row["scale_source"]) for row in found] == [
        ("few.png", 15.0, "given")
    ]


def test_without_a_scale_cracks_are_in_pixels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So is the query."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(150)})
    lines = shown(score_archives(tmp_path / "out", archive, cracks={"a.png": 3}), capsys)
    assert lines[1] == "Cracks: 3 in 1 photo, 64 px, the widest 3.5 px; 1 has no width."
    assert "crack_width_px_p95" in "".join(lines)
    assert "mm" not in "".join(lines)


def test_a_dataset_that_finds_no_crack_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """None found is another thing than none measured."""
    archive = zip_photos(tmp_path / "one.zip", {"a.png": photo(150)})
    assert "Cracks: none was found." in shown(score_archives(tmp_path / "out", archive, cracks={}), capsys)
    unmeasured = shown(score_archives(tmp_path / "other", archive), capsys)
    assert unmeasured[1] == "  0.588     1 of 6 tiles  a.png"
    assert "Crack" not in "".join(unmeasured)
