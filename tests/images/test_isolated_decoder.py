"""Decoding in a child process: what a photo that crashes, hangs or fills the memory costs, and what it does not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import DataError, Kind
from pipeline.images.decode import MAX_PIXELS, Decoder, decode
from pipeline.images.isolated_decoder import SPARE_BYTES, TRIES, IsolatedDecoder, with_watchdog
from tests import ROOT
from tests.helpers.fragile_decoder import fragile
from tests.helpers.hostile_photos import BROKEN, SOUND

SOUND_JPEG = SOUND["progressive.jpg"]


@pytest.fixture
def guarded() -> Iterator[IsolatedDecoder]:
    """A decoder with `fragile` in its child."""
    decoder = IsolatedDecoder(fragile)
    yield decoder
    decoder.close()


def _failure(decoder: Decoder, data: bytes) -> DataError:
    with pytest.raises(DataError) as caught:
        decoder(data, MAX_PIXELS)
    return caught.value


def test_photos_come_out_as_decoded_here(guarded: IsolatedDecoder) -> None:
    """Pixels and facts, and what is wrong with those that cannot be decoded."""
    for data in SOUND.values():
        here, there = decode(data), guarded(data, MAX_PIXELS)
        assert np.array_equal(here.pixels, there.pixels)
        assert here.facts == there.facts
    for data, _ in BROKEN.values():
        assert _failure(guarded, data).args == _failure(decode, data).args


@pytest.mark.parametrize(
    ("order", "named"),
    [(b"die 11", "SIGSEGV"), (b"die 9", "SIGKILL"), (b"die 6", "SIGABRT"), (b"exit 3", "exit status 3")],
)
def test_a_photo_that_kills_its_decoder_costs_itself(guarded: IsolatedDecoder, order: bytes, named: str) -> None:
    """It fails with what happened; the photos before and after it are decoded."""
    before = guarded(SOUND_JPEG, MAX_PIXELS)
    failure = _failure(guarded, order)
    after = guarded(SOUND_JPEG, MAX_PIXELS)

    assert (failure.stage, failure.kind) == ("decode", "decoder_crashed")
    assert str(failure) == (
        f"The decoder ended with {named}, {TRIES} times. "
        "Open the photo in another program and save it again, or leave it out."
    )
    assert np.array_equal(before.pixels, after.pixels)


def test_a_child_that_is_killed_once_costs_nothing(guarded: IsolatedDecoder, tmp_path: Path) -> None:
    """It may be its machine's fault: the photo is tried again."""
    photo = guarded(b"die-once %s " % bytes(tmp_path / "died") + SOUND_JPEG, MAX_PIXELS)

    assert (tmp_path / "died").exists()
    assert np.array_equal(photo.pixels, decode(SOUND_JPEG).pixels)


def test_a_photo_that_hangs_its_decoder_costs_itself() -> None:
    """It fails after the time-out, once, and the next photo is decoded."""
    decoder = IsolatedDecoder(fragile, timeout_s=1)

    failure = _failure(decoder, b"hang")
    decoder.close()

    assert failure.kind == "decoder_timed_out"
    assert str(failure).startswith("Decoding took more than 1 s. ")
    assert decoder.close() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to the limit")
def test_a_photo_that_fills_the_memory_costs_itself(guarded: IsolatedDecoder) -> None:
    """What a photo may take follows from the largest one allowed."""
    order = b"eat %d" % (SPARE_BYTES + (256 << 20))

    with pytest.raises(DataError, match=r"^The decoder ended with exit status 1, 2 times\."):
        guarded(order, 1)

    assert guarded(order, MAX_PIXELS).pixels.size == 3


def test_the_child_is_kept_and_is_light(guarded: IsolatedDecoder) -> None:
    """One process for many photos, without the libraries that take seconds to load; another after a crash."""
    first, second = (str(_failure(guarded, b"tell")) for _ in range(2))
    _failure(guarded, b"exit 1")
    third = str(_failure(guarded, b"tell"))

    assert first == second
    assert third != first
    assert first.endswith(" []")
    assert not first.startswith(f"{os.getpid()} ")


def test_what_a_library_prints_does_not_mix_in(guarded: IsolatedDecoder) -> None:
    """Standard output is nobody's channel."""
    assert guarded(b"print " + SOUND_JPEG, MAX_PIXELS).pixels.any()


def test_the_child_ends_with_its_parent() -> None:
    """Also where the parent is killed: nothing is left behind on a worker."""
    code = (
        "import os, pipeline.images.isolated_decoder as g\n"
        "from tests.helpers import fragile_decoder\n"
        "decoder = g.GuardedDecoder(fragile_decoder.fragile)\n"
        "try: decoder(b'tell', 1)\n"
        "except g.DataError as error: print(error, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    folder = ROOT
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    child = int(run.stdout.split()[0])

    assert run.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while _lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(child)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"


def test_a_watched_decoder_decodes() -> None:
    """As `decode` does, failures included, and without a child."""
    assert np.array_equal(with_watchdog(decode)(SOUND_JPEG, MAX_PIXELS).pixels, decode(SOUND_JPEG).pixels)
    assert _failure(with_watchdog(decode), b"no photo").kind == "not_an_image"


def test_a_watched_decoder_that_hangs_ends_its_process() -> None:
    """With a traceback that shows where; one that does not hang leaves no timer behind."""
    code = (
        "import time, pipeline.images.isolated_decoder as g\n"
        "from tests.helpers.fragile_decoder import fragile\n"
        "g.DECODE_S = 0.3\n"
        "g.watched(fragile)(b'eat 1', 1)\n"
        "time.sleep(0.5)\n"
        "print('still here', flush=True)\n"
        "g.watched(fragile)(b'hang', 1)"
    )
    folder = ROOT
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout) == (1, "still here\n")
    assert "Timeout" in run.stderr
    assert "in fragile" in run.stderr


@pytest.mark.ray
@pytest.mark.usefixtures("ray_of_two")
def test_it_works_in_a_worker_of_ray() -> None:
    """Where `__main__` is Ray's own and signals are blocked: photos crash and hang there as anywhere."""
    import ray

    @ray.remote(num_cpus=1)
    def kinds() -> list[Kind | None]:
        decoder = IsolatedDecoder(fragile, timeout_s=5)
        return [_kind(decoder, data) for data in (SOUND_JPEG, b"die 11", b"hang", b"no photo", SOUND_JPEG)]

    assert ray.get(kinds.remote()) == [None, "decoder_crashed", "decoder_timed_out", "not_an_image", None]


def _kind(decoder: Decoder, data: bytes) -> Kind | None:
    try:
        decoder(data, MAX_PIXELS)
    except DataError as error:
        return error.kind
    return None
