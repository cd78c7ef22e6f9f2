"""Decoding in a child process: a photo that crashes its decoder, hangs or fills the memory fails alone.

This guards against decoders that break, not against code that an attacker smuggles into one. A child costs time, so a
scorer isolates its decoder only after something has killed the scorer.
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

DECODE_TIMEOUT_S = 120
"""A photo that takes longer hangs; 200 megapixels take 2 to 11 s."""

TRIES = 2
"""One crash proves nothing against a photo: the system also kills a child when others have filled the memory."""

PIXEL_BYTES = 24
"""Memory a child may take for each pixel of the largest photo allowed: WebP, the greediest, takes 16, most take 7."""
SPARE_BYTES = 512 << 20
"""Memory a child may take besides."""

_ADVICE = "Open the photo in another program and save it again, or leave it out."

_SERVE = "import sys; sys.path[:] = {path!r}; from pipeline.images.isolated_decoder import serve; serve()"
"""What a child runs. It finds modules where this process does, and never loads this process's `__main__` or torch."""


def with_watchdog(decode: Decoder, timeout_s: float = DECODE_TIMEOUT_S) -> Decoder:
    """Let a decoder work in this process; if it hangs, end the process with a traceback, and its host restarts it."""

    def decode_in_time(data: bytes, max_pixels: int) -> Photo:
        faulthandler.dump_traceback_later(timeout_s, exit=True)
        try:
            return decode(data, max_pixels)
        finally:
            faulthandler.cancel_dump_traceback_later()

    return decode_in_time


class IsolatedDecoder:
    """A decoder in a child process, which it keeps between photos and replaces when it dies.

    Args:
        decode: a function of a module that the child can import.
        timeout_s: a photo that takes longer fails.
    """

    def __init__(self, decode: Decoder = decode, timeout_s: int = DECODE_TIMEOUT_S) -> None:
        self._decode, self._timeout_s = decode, timeout_s
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, data: bytes, max_pixels: int) -> Photo:
        """Decode a photo.

        Raises:
            DataError: `decode` raised it, or the photo crashed or hung its decoder.
        """
        status = 0
        for _ in range(TRIES):
            self._child = self._child or _start_child()
            answer = _ask(self._child, (self._decode, data, max_pixels, self._timeout_s))
            if isinstance(answer, DataError):
                raise answer
            if answer is not None:
                return answer
            status = self.close()
            if status == -signal.SIGALRM:
                message = f"Decoding took more than {self._timeout_s} s. {_ADVICE}"
                raise DataError("decode", "decoder_timed_out", message)
        message = f"The decoder ended with {_describe_status(status)}, {TRIES} times. {_ADVICE}"
        raise DataError("decode", "decoder_crashed", message)

    def close(self) -> int:
        """End the child.

        Returns:
            Its exit status; minus the number of the signal that killed it.
        """
        child, self._child = self._child, None
        if child is None:
            return 0
        with contextlib.suppress(BrokenPipeError), child:
            pass  # closes its pipes, which ends it, and waits for it
        return child.returncode


def serve() -> None:
    """Decode the photos that the parent sends, until the parent is gone. Runs in the child."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answers
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})  # a child inherits the mask of a Ray worker
    used_bytes = _address_space_bytes()
    with contextlib.suppress(EOFError, pickle.UnpicklingError, BrokenPipeError):
        while True:
            decoder, data, max_pixels, timeout_s = pickle.load(requests)  # noqa: S301 - from our own parent
            _limit_memory(used_bytes, SPARE_BYTES + 4 * len(data) + PIXEL_BYTES * max_pixels)
            signal.alarm(timeout_s)
            answer = _answer(decoder, data, max_pixels)
            signal.alarm(0)
            pickle.dump(answer, answers, protocol=5)  # does not copy the pixels
            answers.flush()


def _start_child() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", _SERVE.format(path=sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C in the terminal is no fault of a photo
    )


def _ask(child: "subprocess.Popen[bytes]", request: tuple[Decoder, bytes, int, int]) -> Photo | DataError | None:
    """Return a child's answer, None if it died over the request."""
    requests, answers = cast("IO[bytes]", child.stdin), cast("IO[bytes]", child.stdout)
    try:
        pickle.dump(request, requests, protocol=5)
        requests.flush()
        return cast("Photo | DataError", pickle.load(answers))  # noqa: S301 - from our own child
    except (BrokenPipeError, EOFError, pickle.UnpicklingError):
        return None


def _answer(decoder: Decoder, data: bytes, max_pixels: int) -> Photo | DataError:
    try:
        return decoder(data, max_pixels)
    except DataError as error:
        return error


def _limit_memory(used_bytes: int, more_bytes: int) -> None:
    """Make large allocations fail, so that a bomb costs its photo and not the machine; Linux only."""
    if sys.platform == "linux":
        machine_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        limit_bytes = used_bytes + min(more_bytes, machine_bytes // 2)
        _, hard_limit = resource.getrlimit(resource.RLIMIT_AS)
        limit_bytes = limit_bytes if hard_limit < 0 else min(limit_bytes, hard_limit)
        resource.setrlimit(resource.RLIMIT_AS, (limit_bytes, hard_limit))


def _address_space_bytes() -> int:
    """Return what this process has reserved: libraries and their threads, gigabytes on a machine of many cores."""
    if sys.platform != "linux":
        return 0
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def _describe_status(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"
