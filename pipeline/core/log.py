"""Structured logs: one JSON object a line in a file of the run, nothing on the terminal.

A module takes its logger with `get_logger(__name__)`; a run names its stream with `to_stream`, and until then log lines
go nowhere. Every line has the run's id, and names the archive or photo that it concerns as `archive` and `image`, like
the dataset's tables. Lines of workers travel with their results (`capture`), and the driver writes them.
"""

import json
import logging
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import IO, Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from pipeline.core.errors import StorageError

_ROOT = "crackscan"

_of_the_run = dict[str, str]()
"""Facts that every line of this process has while its run's file is open: context variables stay in their thread."""


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    root = logging.getLogger(_ROOT)
    if not root.handlers:
        root.addHandler(logging.NullHandler())  # else `logging` prints warnings to stderr
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(f"{_ROOT}.{name}"),
        processors=[
            structlog.contextvars.merge_contextvars,
            _with_the_run,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),  # locals hold secrets
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


def _with_the_run(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**event, **_of_the_run}


class _Line(logging.Formatter):
    """The line as structlog rendered it; `logging` would add a traceback in plain text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object."""
        return record.getMessage()


class _Lines(logging.StreamHandler[IO[str]]):
    """A file of lines, of which some are lost when the disk is full: the run's own files tell that, if it matters."""

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        """Print no traceback."""


class _Kept(logging.Handler):
    """Lines in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(record.getMessage())


@contextmanager
def _handled(handler: logging.Handler) -> Iterator[None]:
    root = logging.getLogger(_ROOT)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.propagate = False
    try:
        yield
    finally:
        root.removeHandler(handler)


def bind(**concerned: str) -> AbstractContextManager[None]:
    """Let the log lines of this thread name what is being worked on: the `archive`, and the `image` if it is one."""
    return structlog.contextvars.bound_contextvars(**concerned)


@contextmanager
def capture() -> Iterator[list[str]]:
    """Keep the log lines of this process while the context lasts, for `replay` in another."""
    kept = _Kept()
    with _handled(kept):
        yield kept.lines


def replay(lines: Iterable[str], **concerned: str) -> None:
    """Write the log lines of another process.

    Args:
        lines: as they were `capture`.
        concerned: the `archive`, and the `image` if it was one, that was being worked on.
    """
    for line in lines:
        logging.getLogger(_ROOT).info(json.dumps({**json.loads(line), **concerned, **_of_the_run}))


@contextmanager
def to_stream(stream: IO[str], run_id: str) -> Iterator[None]:
    """Write every log line of this process to a stream while the context lasts, with the run's id; then close it."""
    handler = _Lines(stream)
    handler.setFormatter(_Line())
    before = dict(_of_the_run)
    _of_the_run["run_id"] = run_id
    try:
        with _handled(handler):
            try:
                yield
            except BaseException:
                get_logger("run").exception("ended early")
                raise
    finally:
        _of_the_run.clear()
        _of_the_run.update(before)
        with suppress(OSError, StorageError):  # nor may it hide what the run ended with
            stream.close()
