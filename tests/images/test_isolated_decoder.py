"""An isolated decoder fails only the photo that crashes, hangs or fills the memory."""

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
def isolated() -> Iterator[IsolatedDecoder]:
    """A decoder with `fragile` in its child."""
    decoder = IsolatedDecoder(fragile)
    yield decoder
    decoder.close()


def _failure(decoder: Decoder, data: bytes) -> DataError:
    with pytest.raises(DataError) as caught:
        decoder(data, MAX_PIXELS)
    return caught.value


def test_photos_come_out_as_decoded_here(isolated: IsolatedDecoder) -> None:
    """The child gives the same pixels, facts and errors as `decode` in this process."""
    for data in SOUND.values():
        here, there = decode(data), isolated(data, MAX_PIXELS)
        assert np.array_equal(here.pixels, there.pixels)
        assert here.facts == there.facts
    for data, _ in BROKEN.values():
        assert _failure(isolated, data).args == _failure(decode, data).args


@pytest.mark.parametrize(
    ("order", "named"),
    [(b"die 11", "SIGSEGV"), (b"die 9", "SIGKILL"), (b"die 6", "SIGABRT"), (b"exit 3", "exit status 3")],
)
def test_a_photo_that_kills_its_decoder_costs_itself(isolated: IsolatedDecoder, order: bytes, named: str) -> None:
    """The message names the signal or exit status; the decoder decodes the photos before and after it."""
    before = isolated(SOUND_JPEG, MAX_PIXELS)
    failure = _failure(isolated, order)
    after = isolated(SOUND_JPEG, MAX_PIXELS)

    assert (failure.stage, failure.kind) == ("decode", "decoder_crashed")
    assert str(failure) == (
        f"The decoder ended with {named}, {TRIES} times. "
        "Open the photo in another program and save it again, or leave it out."
    )
    assert np.array_equal(before.pixels, after.pixels)


def test_a_child_that_is_killed_once_costs_nothing(isolated: IsolatedDecoder, tmp_path: Path) -> None:
    """The decoder tries the photo again, since the machine may be at fault."""
    photo = isolated(b"die-once %s " % bytes(tmp_path / "died") + SOUND_JPEG, MAX_PIXELS)

    assert (tmp_path / "died").exists()
    assert np.array_equal(photo.pixels, decode(SOUND_JPEG).pixels)


def test_a_photo_that_hangs_its_decoder_costs_itself() -> None:
    """It fails after one time-out, and the child is gone."""
    decoder = IsolatedDecoder(fragile, timeout_s=1)

    failure = _failure(decoder, b"hang")
    decoder.close()

    assert failure.kind == "decoder_timed_out"
    assert str(failure).startswith("Decoding took more than 1 s. ")
    assert decoder.close() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux enforces the limit")
def test_a_photo_that_fills_the_memory_costs_itself(isolated: IsolatedDecoder) -> None:
    """The limit on memory grows with the largest photo allowed."""
    order = b"eat %d" % (SPARE_BYTES + (256 << 20))

    with pytest.raises(DataError, match=r"^The decoder ended with exit status 1, 2 times\."):
        isolated(order, 1)

    assert isolated(order, MAX_PIXELS).pixels.size == 3


def test_the_child_is_kept_and_is_light(isolated: IsolatedDecoder) -> None:
    """One process decodes many photos, without torch, Ray or pyarrow; a crash replaces it."""
    first, second = (str(_failure(isolated, b"tell")) for _ in range(2))
    _failure(isolated, b"exit 1")
    third = str(_failure(isolated, b"tell"))

    assert first == second
    assert third != first
    assert first.endswith(" []")
    assert not first.startswith(f"{os.getpid()} ")


def test_what_a_library_prints_does_not_mix_in(isolated: IsolatedDecoder) -> None:
    """The answers do not travel on the standard output of the child."""
    assert isolated(b"print " + SOUND_JPEG, MAX_PIXELS).pixels.any()


def test_the_child_ends_with_its_parent() -> None:
    """SIGKILL of the parent leaves no child behind on a worker."""
    code = (
        "import os\n"
        "from pipeline.core.errors import DataError\n"
        "from pipeline.images.isolated_decoder import IsolatedDecoder\n"
        "from tests.helpers.fragile_decoder import fragile\n"
        "decoder = IsolatedDecoder(fragile)\n"
        "try: decoder(b'tell', 1)\n"
        "except DataError as error: print(error, flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    child = int(run.stdout.split()[0])

    assert run.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 30
    while _is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_alive(child)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"


def test_a_decoder_with_a_watchdog_decodes() -> None:
    """It gives the same photos and errors as `decode`."""
    assert np.array_equal(with_watchdog(decode)(SOUND_JPEG, MAX_PIXELS).pixels, decode(SOUND_JPEG).pixels)
    assert _failure(with_watchdog(decode), b"no photo").kind == "not_an_image"


def test_a_decoder_with_a_watchdog_that_hangs_ends_its_process() -> None:
    """The traceback shows where it hangs; a decoder that does not hang leaves no timer behind."""
    code = (
        "import time\n"
        "from pipeline.images.isolated_decoder import with_watchdog\n"
        "from tests.helpers.fragile_decoder import fragile\n"
        "decode = with_watchdog(fragile, timeout_s=0.3)\n"
        "decode(b'eat 1', 1)\n"
        "time.sleep(0.5)\n"
        "print('still here', flush=True)\n"
        "decode(b'hang', 1)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout) == (1, "still here\n")
    assert "Timeout" in run.stderr
    assert "in fragile" in run.stderr


@pytest.mark.ray
@pytest.mark.usefixtures("ray_of_two")
def test_it_works_in_a_worker_of_ray() -> None:
    """Photos crash and hang there as anywhere, although `__main__` is Ray's own and Ray blocks signals."""
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
