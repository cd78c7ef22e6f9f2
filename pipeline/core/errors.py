"""Every error crackscan raises, and what each one does to a run.

    CrackscanError          stops the run; one plain sentence on stderr, exit code 1
    ├── UsageError          the command or its inputs are wrong; exit code 2
    ├── StorageError        a place could not be read or written (permission, network, disk full)
    │   └── NotFoundError   nothing stands there
    ├── DatasetError        an output dataset is damaged, or its files do not fit together
    ├── DatasetHeldError    another writer is at work on this dataset; it is left alone
    ├── LostPlaceError      another writer has taken this dataset over; this one commits nothing more
    ├── ModelError          a model folder cannot be used (missing, damaged, of another format)
    └── InterruptedRunError Ctrl-C or SIGTERM; what was finished is committed; exit code 4

    DataError               one photo or archive cannot be scored; becomes a `failed` row, never stops the run

A message says what was found, what was expected, where, and what to do.
"""

from typing import ClassVar, Literal

Stage = Literal["open", "read", "decode", "score"]
"""Where a photo failed: opening its archive, reading its bytes, decoding them, scoring its tiles."""

Kind = Literal[
    "archive_unreadable",
    "archive_truncated",
    "archive_changed",
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


class CrackscanError(Exception):
    """Something that stops the run."""

    exit_code: ClassVar[int] = 1


class UsageError(CrackscanError):
    """The command or its inputs are wrong."""

    exit_code = 2


class StorageError(CrackscanError):
    """A place could not be read or written.

    Args:
        message: what could not be done, where and why.
        lasting: whether trying again is of no use, because the file itself is missing or closed to us.
    """

    def __init__(self, message: str, *, lasting: bool = False) -> None:
        super().__init__(message)
        self.lasting = lasting


class NotFoundError(StorageError):
    """Nothing stands at a place."""

    def __init__(self, message: str) -> None:
        super().__init__(message, lasting=True)


class DatasetError(CrackscanError):
    """An output dataset is damaged, or its files do not fit together."""


class DatasetHeldError(CrackscanError):
    """Another writer is at work on this dataset."""


class LostPlaceError(CrackscanError):
    """Another writer has taken this dataset over."""


class ModelError(CrackscanError):
    """A model folder cannot be used."""


class InterruptedRunError(CrackscanError):
    """The run was asked to stop; what was finished is committed."""

    exit_code = 4


class DataError(Exception):
    """One photo or archive that cannot be scored.

    Args:
        stage: where it failed.
        kind: why, as one of a few words that can be counted.
        message: what was found and what was expected, for people.
    """

    def __init__(self, stage: Stage, kind: Kind, message: str) -> None:
        super().__init__(stage, kind, message)
        self.stage: Stage = stage
        self.kind: Kind = kind
        self.message = message

    def columns(self) -> dict[str, str]:
        """Return it as the `failure_…` columns of a row."""
        message = self.message.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return {"failure_stage": self.stage, "failure_kind": self.kind, "failure_message": message}

    def __str__(self) -> str:
        """Return the message alone."""
        return self.message
