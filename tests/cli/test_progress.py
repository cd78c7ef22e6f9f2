"""Progress without a terminal: lines of counts on stderr, and results on stdout."""

import pytest

from pipeline.cli.progress import StageBar, progress


def test_counts_are_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The first and the last count have a line, those between only every few seconds."""
    with progress("photos") as show:
        for done in (0, 5, 10):
            show(done, 10, f"({done} tiles)")
    out, err = capsys.readouterr()
    assert (out, err.splitlines()) == ("", ["0 of 10 photos (0 tiles) in 0 s", "10 of 10 photos (10 tiles) in 0 s"])


def test_a_note_needs_no_total(capsys: pytest.CaptureFixture[str]) -> None:
    """It stands alone until the total is known."""
    with progress("photos") as show:
        show(0, 0, "(1 of 2 archives listed)")
    assert capsys.readouterr().err == "(1 of 2 archives listed) in 0 s\n"


def test_a_stage_bar_prints_lines_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal there is no bar."""
    with StageBar() as bar:
        bar.show("comparing tiles", 1, 2)
        bar.print("Training on 2 tiles.")
    assert capsys.readouterr() == ("Training on 2 tiles.\n", "")
