"""Standard streams that are closed, broken or full: `>&-`, `| head`, `> /dev/full`, a terminal that went away.

A command's results go to stdout: if they cannot be written, it fails. What it says on the way goes to stderr: if
nobody can read that, the work goes on.
"""

import errno
import io
import os
import sys

from pipeline.core.errors import CrackscanError

_STREAMS = ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w"))


class ResultStream(io.TextIOWrapper):
    """Text for stdout; a write that fails is an error of the command."""

    def write(self, text: str) -> int:
        """Write text.

        Raises:
            BrokenPipeError: the reader has left.
            CrackscanError: the disk is full, or the like.
        """
        try:
            return super().write(text)
        except OSError as error:
            raise self._translate(error) from error

    def flush(self) -> None:
        """Write what is waiting; raises what `write` raises."""
        try:
            super().flush()
        except OSError as error:
            raise self._translate(error) from error

    def _translate(self, error: OSError) -> Exception:
        _lead_nowhere(self.fileno())
        if error.errno == errno.EPIPE:
            return error
        return CrackscanError(f"The output cannot be written: {error.strerror}. Write it elsewhere.")


class RemarkStream(io.TextIOWrapper):
    """Text for stderr; once a write fails, the rest is lost, and the work goes on."""

    def write(self, text: str) -> int:
        """Write text."""
        try:
            return super().write(text)
        except OSError:
            _lead_nowhere(self.fileno())
            return len(text)

    def flush(self) -> None:
        """Write what is waiting."""
        try:
            super().flush()
        except OSError:
            _lead_nowhere(self.fileno())


def open_remarks(descriptor: int) -> RemarkStream:
    """Open a stream on a descriptor, which it does not close."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    return RemarkStream(io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)


def prepare_streams() -> None:
    """Give this process three standard streams that behave, before it opens any file.

    A file would get the number of a closed stream, and whatever is printed would go into it.
    """
    for descriptor, name, mode in _STREAMS:
        if _is_closed(descriptor):
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - stays open
    if _is_descriptor(sys.stdout, 1) and not isinstance(sys.stdout, ResultStream):
        raw = io.BufferedWriter(io.FileIO(1, "w", closefd=False))
        sys.stdout = ResultStream(
            raw, encoding=sys.stdout.encoding, errors=sys.stdout.errors, line_buffering=sys.stdout.isatty()
        )
    if _is_descriptor(sys.stderr, 2) and not isinstance(sys.stderr, RemarkStream):
        sys.stderr = open_remarks(2)


def _is_closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


def _is_descriptor(stream: object, descriptor: int) -> bool:
    """Tell whether a stream is Python's own on a descriptor, not one of tests or notebooks."""
    if type(stream) is not io.TextIOWrapper:
        return False
    try:
        return stream.fileno() == descriptor
    except (OSError, ValueError):  # a stream in memory
        return False


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
