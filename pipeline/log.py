"""Structured logs: one JSON object a line in a file of the run, nothing on the terminal.

A module takes its logger with `get_logger(__name__)`; a run opens its file with `to_file` and binds its run id, and
until then log lines go nowhere.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

_ROOT = "crackscan"


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of one module."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(f"{_ROOT}.{name}"),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return logger


@contextmanager
def to_file(path: Path, run_id: str) -> Iterator[None]:
    """Write every log line of this process to a file while the context lasts, each with the run's id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    root = logging.getLogger(_ROOT)
    handler = logging.FileHandler(path, encoding="utf-8")
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    root.propagate = False
    try:
        with structlog.contextvars.bound_contextvars(run_id=run_id):
            yield
    finally:
        root.removeHandler(handler)
        handler.close()
