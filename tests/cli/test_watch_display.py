"""What `score --watch` says between its rounds, and which options it takes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from pipeline.cli import main
from pipeline.cli.watch_display import show_watch
from pipeline.dataset.lease import Watch
from pipeline.monitoring.changes import Change
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.progress import Progress, ScoreSummary
from pipeline.watch.progress import Standing, WatchCallbacks
from pipeline.watch.schedule import Schedule

NOON = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)


def stand(scored: int, waiting: int = 0, trouble: str = "", failed: int = 0) -> Standing:
    """How a watch stands that looks every minute."""
    failures = {"empty_file": failed} if failed else {}
    return Standing(
        NOON,
        Progress(scored + failed, 0, scored, failures),
        Watch(60.0, NOON, waiting, trouble),
        NOON + timedelta(seconds=60),
    )


def test_a_watch_speaks_when_it_stands_anew(capsys: pytest.CaptureFixture[str]) -> None:
    """Quiet looks say nothing, a trouble is told once, and so is what changed among the inputs."""
    with show_watch() as display:
        for standing in (stand(0, 2), stand(2), stand(2), stand(2, 0, "It is away."), stand(2, 0, "It is gone."),
                         stand(2), stand(3, 1, failed=1)):  # fmt: skip
            display.on_looked(standing)
        display.on_changes([Change("file:///in/a.jpg", "replaced", "2", scored=1)], is_rescored=True)
    since, again = f"Watching since {NOON.astimezone():%H:%M:%S}", "Looking every 60 s; Ctrl-C ends it."
    assert capsys.readouterr().err.splitlines() == [
        f"{since}: 0 photos scored, 0 failed; 2 files may not be complete yet. {again}",
        f"{since}: 2 photos scored, 0 failed. {again}",
        "It is away. Looking again every 60 s.",
        f"{since}: 2 photos scored, 0 failed. {again}",
        f"{since}: 3 photos scored, 1 failed; 1 file may not be complete yet. {again}",
        "Replaced since it was listed: /in/a.jpg. What is there now is scored in its place.",
    ]


class NoteWatch:
    """Stands for `watch`; notes how it was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[ScoreConfig, Schedule]] = []

    def __call__(self, config: ScoreConfig, schedule: Schedule, _callbacks: WatchCallbacks) -> ScoreSummary:
        """Watch nothing."""
        self.calls.append((config, schedule))
        return ScoreSummary(Progress(0), 0, 0, 0, 0, 0, is_finished=False, skipped={})


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> NoteWatch:
    """Note calls instead of watching."""
    noted = NoteWatch()
    monkeypatch.setattr("pipeline.watch.flow.watch", noted)
    return noted


@pytest.mark.parametrize(
    ("words", "every_s"),
    [(["in", "--out", "o", "--watch"], 60.0), (["in", "--watch=5", "--out", "o"], 5.0),
     (["in", "--out", "o", "--watch", "300"], 300.0)],
)  # fmt: skip
def test_the_option_has_a_value_or_none(words: Sequence[str], every_s: float, watched: NoteWatch) -> None:
    """Nothing came, which is no error."""
    ran = CliRunner().invoke(main, ["score", *words])
    assert (ran.exit_code, ran.stdout) == (0, "Nothing came to score.\n")
    [(config, schedule)] = watched.calls
    assert (config.inputs, schedule) == (("in",), Schedule(every_s))


def test_a_config_file_may_ask_for_a_watch(watched: NoteWatch, tmp_path: Path) -> None:
    """And say until when."""
    (tmp_path / "c.yaml").write_text("inputs: [in]\nout: o\nwatch: 30\nuntil: '2100-01-01T06:00+00:00'\n")
    assert CliRunner().invoke(main, ["score", "--config", str(tmp_path / "c.yaml")]).exit_code == 0
    [(_, schedule)] = watched.calls
    assert schedule == Schedule(30.0, datetime(2100, 1, 1, 6, tzinfo=UTC))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--watch", "in", "--out", "o"], "'in' is no number of seconds. Does an input follow? Write --watch=60."),
        (["in", "--out", "o", "--watch", "0"], "--watch is 0; expected seconds between two looks, at least 1."),
        (["in", "--out", "o", "--until", "06:00"], "--until tells a watch when to stop: give --watch, too."),
        (["in", "--out", "o", "--watch", "--until", "soon"], "--until is 'soon'; expected a time such as 06:00"),
    ],
)
def test_wrong_options_are_refused(words: Sequence[str], message: str) -> None:
    """With exit code 2, and what to write instead."""
    ran = CliRunner().invoke(main, ["score", *words])
    assert ran.exit_code == 2
    assert message in ran.stderr
