"""Structured logs: one JSON object a line in a file of the run, nothing on the terminal.

A module takes its logger with `get_logger(__name__)`; a run opens its file with `to_file` and binds its run id, and
until then log lines go nowhere.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from pipeline import storage
from pipeline.errors import StorageError

_ROOT = "crackscan"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    root = logging.getLogger(_ROOT)
    if not root.handlers:
        root.addHandler(logging.NullHandler())  # else `logging` prints warnings to stderr
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(f"{_ROOT}.{name}"),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),  # locals hold secrets
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


class _Line(logging.Formatter):
    """The line as structlog rendered it; `logging` would add a traceback in plain text."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one JSON object."""
        return record.getMessage()


class _Lines(logging.StreamHandler[IO[str]]):
    """A file of lines, of which some are lost when the disk is full: the run's own files tell that, if it matters."""

    def handleError(self, _record: logging.LogRecord) -> None:  # noqa: N802 - logging's
        """Print no traceback."""


@contextmanager
def to_file(folder_url: str, run_id: str) -> Iterator[None]:
    """Write every log line of this process to `logs/<run_id>.jsonl` while the context lasts, with the run's id.

    A remote file appears when the context ends, since object stores cannot append.
    """
    root = logging.getLogger(_ROOT)
    stream = storage.open_text(storage.join(folder_url, "logs", f"{run_id}.jsonl"))
    handler = _Lines(stream)
    handler.setFormatter(_Line())
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.propagate = False
    try:
        with structlog.contextvars.bound_contextvars(run_id=run_id):
            try:
                yield
            except BaseException:
                get_logger("run").exception("ended early")
                raise
    finally:
        root.removeHandler(handler)
        with suppress(OSError, StorageError):  # nor may it hide what the run ended with
            stream.close()
