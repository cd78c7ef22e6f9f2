"""The output of `crackscan status`."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from click.testing import CliRunner

from pipeline import storage
from pipeline.cli.status import command
from pipeline.dataset.lease import Watch, hold, this_process
from tests.helpers.small_dataset import COMMITS, ok, write_dataset, write_plan


def test_a_finished_dataset_in_words(tmp_path: Path) -> None:
    """State, photos, failures by kind with the query for their messages, and the writer."""
    out = tmp_path / "out"
    write_dataset(str(out))
    shown = CliRunner().invoke(command, [str(out)])
    assert (shown.exit_code, shown.stdout.splitlines()) == (0, [
        f"Finished: file://{out}",
        "photos   5 of 5 done (100.0%), 2 of them failed",
        "failed   2 x not_an_image",
        f"         crackscan query {out} 'SELECT image, failure_message FROM failures'",
        "writer   none",
    ])  # fmt: skip


def test_an_unfinished_dataset_in_words(tmp_path: Path) -> None:
    """Speed and the time left, archives without a count, and the writer."""
    commit = [ok(f"{number}.jpg", 80, 80, after_s=number) for number in range(5)]
    layout = write_dataset(str(tmp_path / "out"), [commit], finish=False)
    write_plan(layout, [*commit, *(ok(f"later-{number}.jpg") for number in range(120))])
    write_plan(layout, [{"entry": "stream", "archive": "file:///photos/three.tgz", "image": ""}])
    with hold(layout, "two", lambda _holder: None):
        lines = CliRunner().invoke(command, [layout.url]).stdout.splitlines()
    assert lines[0] == f"Not finished: {layout.url}"
    assert lines[1].endswith("0 of them failed; more will come from 1 archive that has not been read to its end")
    assert lines[2].startswith("speed    1.0 photos/s, 1 tiles/s until 2026-01-01 00:00:04 UTC; at that speed 0:0")
    assert lines[3].startswith("writer   run two (process ")
    assert lines[3].endswith("UTC): at work")


def test_json_for_programs(tmp_path: Path) -> None:
    """The same facts as one JSON object."""
    layout = write_dataset(str(tmp_path / "out"), COMMITS)
    with hold(layout, "two", lambda _holder: None):
        found = json.loads(CliRunner().invoke(command, [layout.url, "--json"]).stdout)
    assert (found["done"], found["failed"], found["failures"]) == (5, 2, {"not_an_image": 2})
    assert (found["is_finished"], found["writer"]["run_id"], found["speed"]) == (True, "two", None)


def test_a_watch_in_words_and_for_programs(tmp_path: Path) -> None:
    """How often it looks, when it did last, what waits, and what has kept it from looking since."""
    layout = write_dataset(str(tmp_path / "out"), COMMITS)
    watch = Watch(300.0, datetime(2026, 11, 30, 22, 0, tzinfo=UTC), 2, "s3://in could not be listed: no answer.")
    storage.write_whole(layout.lease, replace(this_process("two", 60.0), watch=watch).encode())
    lines = CliRunner().invoke(command, [layout.url]).stdout.splitlines()
    assert lines[-1] == (
        "watch    looks for new photos every 300 s, last at 2026-11-30 22:00:00 UTC; 2 files may not be complete yet; "
        "since then: s3://in could not be listed: no answer."
    )
    found = json.loads(CliRunner().invoke(command, [layout.url, "--json"]).stdout)
    assert found["writer"]["watch"] == {
        "every_s": 300.0,
        "looked_at": "2026-11-30T22:00:00+00:00",
        "waiting": 2,
        "trouble": "s3://in could not be listed: no answer.",
    }


def test_the_cost_is_the_sum_of_runs_with_prices(tmp_path: Path) -> None:
    """In words and for programs."""
    layout = write_dataset(str(tmp_path / "out"))
    assert json.loads(CliRunner().invoke(command, [layout.url, "--json"]).stdout)["cost"] is None
    runs = [{"cost": {"amount": 0.5, "currency": "EUR"}}, {"cost": None}, {"cost": {"amount": 1.25, "currency": "EUR"}}]
    storage.write_whole(layout.report, json.dumps({"runs": runs}).encode())
    lines = CliRunner().invoke(command, [layout.url]).stdout.splitlines()
    assert "cost     1.75 EUR of all runs with prices, storage and traffic not included" in lines
    found = json.loads(CliRunner().invoke(command, [layout.url, "--json"]).stdout)
    assert found["cost"] == {"amount": 1.75, "currency": "EUR"}
