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


def test_the_time_left_leaves_waits_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten photos a second, and a minute in which storage did not answer: the rest takes nine seconds."""
    clocks = iter([(0.0, 0.0), (10.0, 10.0), (71.0, 11.0)])
    now = next(clocks)
    monkeypatch.setattr("pipeline.cli.progress.time.monotonic", lambda: now[0])
    monkeypatch.setattr("pipeline.cli.progress.working_time", lambda: now[1])
    with progress("photos") as show:
        for done in (0, 10, 20):
            show(done, 110)
            now = next(clocks, now)
    assert capsys.readouterr().err.splitlines()[-1].endswith(" s, about 9 s left")
