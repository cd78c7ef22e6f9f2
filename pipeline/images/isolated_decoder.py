"""Decoding where a photo may crash, hang or fill the memory: in a child process, which costs that photo and no other.

It guards against decoders that break, not against code that somebody smuggles into one. Who decodes guarded is the
caller's business: a scorer does so once it has been killed.
"""

import contextlib
import faulthandler
import os
import pickle
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, cast

from pipeline.core.errors import DataError
from pipeline.images.decode import Decoder, Photo, decode

DECODE_S = 120
"""A photo that takes longer hangs; 200 megapixels take 2 to 11 s."""

TRIES = 2
"""Once is no proof against a photo: a child may also be killed because others filled the memory."""

PIXEL_BYTES = 24
"""Memory a child may take for each pixel of the largest photo allowed: WebP, the greediest, takes 16, most take 7."""
SPARE_BYTES = 512 << 20
"""Memory a child may take besides."""

_ADVICE = "Open the photo in another program and save it again, or leave it out."

_SERVE = "import sys; sys.path[:] = {path!r}; from pipeline.images.isolated_decoder import serve; serve()"
"""What a child runs. It finds modules where this process does, and never loads its `__main__` or torch."""


def with_watchdog(decode: Decoder) -> Decoder:
    """Let a decoder work in this process, and end the process with a traceback where it hangs: its host restarts it."""

    def decoded(data: bytes, max_pixels: int) -> Photo:
        faulthandler.dump_traceback_later(DECODE_S, exit=True)
        try:
            return decode(data, max_pixels)
        finally:
            faulthandler.cancel_dump_traceback_later()

    return decoded


class IsolatedDecoder:
    """Decodes in a child process that is kept between photos, and replaced when it dies.

    Args:
        decode: does the work; a function of a module that the child can import.
        timeout_s: a photo that takes longer fails.
    """

    def __init__(self, decode: Decoder = decode, timeout_s: int = DECODE_S) -> None:
        self._decode, self._timeout_s = decode, timeout_s
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, data: bytes, max_pixels: int) -> Photo:
        """Decode a photo.

        Raises:
            DataError: what `decode` raises; or the photo crashed its decoder, or hung it.
        """
        status = 0
        for _ in range(TRIES):
            self._child = self._child or _started()
            answer = _asked(self._child, (self._decode, data, max_pixels, self._timeout_s))
            if isinstance(answer, DataError):
                raise answer
            if answer is not None:
                return answer
            status = self.close()
            if status == -signal.SIGALRM:
                raise DataError(
                    "decode", "decoder_timed_out", f"Decoding took more than {self._timeout_s} s. {_ADVICE}"
                )
        raise DataError(
            "decode", "decoder_crashed", f"The decoder ended with {_name(status)}, {TRIES} times. {_ADVICE}"
        )

    def close(self) -> int:
        """End the child.

        Returns:
            Its exit status; where it died of a signal, minus the signal's number.
        """
        child, self._child = self._child, None
        if child is None:
            return 0
        with contextlib.suppress(BrokenPipeError), child:
            pass  # closes its pipes, at which it ends, and waits for it
        return child.returncode


def serve() -> None:
    """Decode what the parent sends, until the parent is gone. Runs in the child."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})  # a Ray worker's mask would be inherited
    used_bytes = _address_space_bytes()
    with contextlib.suppress(EOFError, pickle.UnpicklingError, BrokenPipeError):
        while True:
            decoder, data, max_pixels, timeout_s = pickle.load(requests)  # noqa: S301 - from our own parent
            _limit_memory(used_bytes, SPARE_BYTES + 4 * len(data) + PIXEL_BYTES * max_pixels)
            signal.alarm(timeout_s)
            answer = _decoded(decoder, data, max_pixels)
            signal.alarm(0)
            pickle.dump(answer, answers, protocol=5)  # writes the pixels from where they are
            answers.flush()


def _started() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", _SERVE.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C in the terminal is no fault of a photo
    )


def _asked(child: "subprocess.Popen[bytes]", request: tuple[Decoder, bytes, int, int]) -> Photo | DataError | None:
    """Return a child's answer, or None where it died over the request."""
    requests, answers = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    try:
        pickle.dump(request, requests, protocol=5)
        requests.flush()
        return cast("Photo | DataError", pickle.load(answers))  # noqa: S301 - from our own child
    except (BrokenPipeError, EOFError, pickle.UnpicklingError):
        return None


def _decoded(decoder: Decoder, data: bytes, max_pixels: int) -> Photo | DataError:
    try:
        return decoder(data, max_pixels)
    except DataError as error:
        return error


def _limit_memory(used_bytes: int, more_bytes: int) -> None:
    """Make allocations fail from a size on, so that a bomb costs its photo and not the machine; Linux only."""
    if sys.platform == "linux":
        machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit_bytes, (_, most) = (
            used_bytes + min(more_bytes, machine_bytes // 2),
            resource.getrlimit(resource.RLIMIT_AS),
        )
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes if most < 0 else min(limit_bytes, most), most))


def _address_space_bytes() -> int:
    """Return what this process has reserved: libraries and their threads, gigabytes on a machine of many cores."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _name(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
