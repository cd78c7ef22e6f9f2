"""Structured logs: one JSON object per line in a file of the run, nothing on the terminal.

A module gets its logger from `get_logger(__name__)`. A run names its stream with `log_to_stream`; until then log lines
go nowhere. Every line has the run's id, and names the archive or photo that it concerns as `archive` and `image`, like
the dataset's tables. A worker captures its lines (`capture`) and returns them with its results; the driver writes them
(`replay`).
"""

import json
import logging
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import IO, Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from pipeline.core.errors import StorageError

_ROOT = "crackscan"

_run_fields = dict[str, str]()
"""Fields of every line of this process while the run's file is open; context variables would stay in one thread."""


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    root = logging.getLogger(_ROOT)
    if not root.handlers:
        root.addHandler(logging.NullHandler())  # else `logging` prints warnings to stderr
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(f"{_ROOT}.{name}"),
        processors=[
            structlog.contextvars.merge_contextvars,
            _add_run_fields,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),  # locals hold secrets
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


def _add_run_fields(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {**event, **_run_fields}


class _LineFormatter(logging.Formatter):
    """The line as structlog rendered it; `logging` would add a traceback in plain text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object."""
        return record.getMessage()


class _LineHandler(logging.StreamHandler[IO[str]]):
    """A file of lines; a full disk loses some of them, and the run reports that from its own files if it matters."""

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        """Print no traceback."""


class _ListHandler(logging.Handler):
    """Lines in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Append a line."""
        self.lines.append(record.getMessage())


@contextmanager
def _handle_with(handler: logging.Handler) -> Iterator[None]:
    root = logging.getLogger(_ROOT)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.propagate = False
    try:
        yield
    finally:
        root.removeHandler(handler)


def bind(**names: str) -> AbstractContextManager[None]:
    """Add the `archive`, and the `image` if there is one, to every log line of this thread while the context lasts."""
    return structlog.contextvars.bound_contextvars(**names)


@contextmanager
def capture() -> Iterator[list[str]]:
    """Collect the log lines of this process while the context lasts, for `replay` in another."""
    handler = _ListHandler()
    with _handle_with(handler):
        yield handler.lines


def replay(lines: Iterable[str], **names: str) -> None:
    """Write the log lines of another process.

    Args:
        lines: from `capture`.
        names: the `archive`, and the `image` if there is one, that the other process worked on.
    """
    for line in lines:
        logging.getLogger(_ROOT).info(json.dumps({**json.loads(line), **names, **_run_fields}))


@contextmanager
def log_to_stream(stream: IO[str], run_id: str) -> Iterator[None]:
    """Write every log line of this process to a stream, with the run's id, while the context lasts; then close it."""
    handler = _LineHandler(stream)
    handler.setFormatter(_LineFormatter())
    before = dict(_run_fields)
    _run_fields["run_id"] = run_id
    try:
        with _handle_with(handler), ExitStack() as stack:
            stack.push(_log_error)
            yield
    finally:
        _run_fields.clear()
        _run_fields.update(before)
        with suppress(OSError, StorageError):  # must not hide the run's own error
            stream.close()


def _log_error(_kind: object, error: BaseException | None, _traceback: object) -> None:
    """Log the error that ends the run, without stopping it, as the exit of a context."""
    if error is not None:
        get_logger("run").error("ended early", exc_info=error)
