"""Every error that crackscan raises, and what each one does to a run.

    CrackscanError          stops the run; one plain sentence on stderr, exit code 1
    ├── UsageError          the command or its inputs are wrong; exit code 2
    ├── StorageError        storage failed to read or write a place (permission, network, disk full)
    │   └── NotFoundError   no file or folder exists at a place
    ├── DatasetError        an output dataset is damaged, or its files do not fit together
    ├── DatasetHeldError    another writer is writing this dataset; the run leaves it alone
    ├── LostPlaceError      another writer has taken this dataset over; the run commits nothing more
    ├── ModelError          crackscan cannot use a model folder (missing, damaged, of another format)
    └── InterruptedRunError Ctrl-C or SIGTERM; finished photos are committed; exit code 4

    DataError               crackscan cannot score one photo or archive; becomes a `failed` row, never stops the run

A message says what was found, what was expected, where, and what to do.
"""

from typing import ClassVar, Literal

Stage = Literal["open", "read", "decode", "score"]
"""Where a photo failed: opening its archive, reading its bytes, decoding them, scoring its tiles."""

Kind = Literal[
    "archive_unreadable",
    "archive_truncated",
    "archive_changed",
    "vanished",
    "member_unreadable",
    "encrypted",
    "unsupported_compression",
    "empty_file",
    "not_an_image",
    "truncated_image",
    "unsupported_format",
    "too_many_pixels",
    "too_large",
    "decoder_crashed",
    "decoder_timed_out",
]
"""Why a photo failed: the `failure_kind` column."""

KINDS_OF_INPUT: frozenset[str] = frozenset({"unsupported_format", "archive_unreadable", "archive_changed"})
"""Failures that say what lies among the inputs, never that a run goes wrong."""


class CrackscanError(Exception):
    """An error that stops the run."""

    exit_code: ClassVar[int] = 1


class UsageError(CrackscanError):
    """The command or its inputs are wrong."""

    exit_code = 2


class StorageError(CrackscanError):
    """Storage failed to read or write a place.

    Args:
        message: what failed, where and why.
        permanent: whether a further attempt is useless, because the file itself is missing or we may not open it.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.permanent = permanent


class NotFoundError(StorageError):
    """No file or folder exists at a place."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class DatasetError(CrackscanError):
    """An output dataset is damaged, or its files do not fit together."""


class DatasetHeldError(CrackscanError):
    """Another writer is writing this dataset."""


class LostPlaceError(CrackscanError):
    """Another writer has taken this dataset over."""


class ModelError(CrackscanError):
    """crackscan cannot use a model folder."""


class InterruptedRunError(CrackscanError):
    """A signal stopped the run; finished photos are committed."""

    exit_code = 4


class DataError(Exception):
    """crackscan cannot score one photo or archive.

    Args:
        stage: where it failed.
        kind: why, as one of a few words that reports can count.
        message: what was found and what was expected, for people.
    """

    def __init__(self, stage: Stage, kind: Kind, message: str) -> None:
        super().__init__(stage, kind, message)
        self.stage: Stage = stage
        self.kind: Kind = kind
        self.message = message

    def columns(self) -> dict[str, str]:
        """Return the `failure_…` columns of a row."""
        message = self.message.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return {"failure_stage": self.stage, "failure_kind": self.kind, "failure_message": message}

    def __str__(self) -> str:
        """Return the message alone."""
        return self.message
