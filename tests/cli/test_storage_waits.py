"""What a command says while storage fails."""

import threading

from click.testing import CliRunner

from pipeline import storage
from pipeline.cli import main
from pipeline.cli.storage_waits import Outages
from pipeline.core.waits import Wait, longest_wait
from tests.conftest import S3Place
from tests.helpers.fault_proxy import Rule

WAIT = Wait("s3://bucket/a", "the server answered 503", since=0.0)


def lines_of(waits: list[Wait | None]) -> list[tuple[int, str]]:
    """Look once a second; return each line with its second."""
    seconds = iter(range(len(waits)))
    outages = Outages(lambda: float(next(seconds)))
    return [(second, line) for second, wait in enumerate(waits) if (line := outages.look(wait))]


def test_an_outage_has_a_line_soon_one_now_and_then_and_one_at_its_end() -> None:
    """The end is told with the time that was waited; a second request of the same outage starts no new one."""
    later = Wait("s3://bucket/b", "the server answered 500", since=5.0)
    assert lines_of([WAIT] * 5 + [None] + [later] * 30 + [None] * 4) == [
        (3, "Waiting for storage for 3 s: the server answered 503 (s3://bucket/a)"),
        (33, "Waiting for storage for 33 s: the server answered 500 (s3://bucket/b)"),
        (37, "Storage answers again after 35 s."),
    ]


def test_a_short_wait_is_not_told() -> None:
    """One or two attempts that fail are daily life."""
    assert lines_of([WAIT, WAIT, None, None, None, None]) == []


def test_a_command_says_that_it_waits(faulty_s3: S3Place) -> None:
    """An outage of five seconds is told with place and cause; afterwards nothing waits."""
    storage.write_whole(f"{faulty_s3.url}/tiles/a.txt", b"none")
    faulty_s3.rules[:] = [Rule("slow_down", count=None)]
    threading.Timer(5, faulty_s3.rules.clear).start()

    ran = CliRunner().invoke(main, ["status", faulty_s3.url])

    said = [line for line in ran.stderr.splitlines() if "torage" in line]
    assert said[0].startswith("Waiting for storage for 3 s: the server answered 503")
    assert f"({faulty_s3.url}" in said[0]
    assert longest_wait() is None
