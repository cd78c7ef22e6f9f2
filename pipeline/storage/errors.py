"""What goes wrong below `storage`, in words, and which of it passes by itself.

Every filesystem's failure becomes a `StorageError`. Trying again is the business of `storage_retry`.
"""

import contextlib
import errno
import io
import sys
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from pipeline.core import usage
from pipeline.core.errors import NotFoundError, StorageError

_CAUSES = {
    errno.EACCES: "permission was denied",
    errno.EPERM: "permission was denied",
    errno.ENOENT: "it was not found",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EISDIR: "it is a folder",
    errno.ENXIO: "it is a pipe or device",
    errno.ENOTDIR: "a part of its path is a file",
    errno.EEXIST: "a part of its path is a file",
}
"""What the usual error numbers mean, in words."""

_WORDS = {
    "NoSuchBucket": "there is no such bucket",
    "SignatureDoesNotMatch": "permission was denied: the secret key does not fit the access key",
    "InvalidAccessKeyId": "permission was denied: the access key is not known there",
    "ExpiredToken": "permission was denied: the session token has expired",
    "RequestTimeTooSkewed": "permission was denied: this machine's clock is wrong",
}
"""What a server's code tells that the kind of error does not."""

_WORDS_OF_CLIENTS = {
    "NoCredentialsError": "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "EndpointConnectionError": "the server could not be reached; is AWS_ENDPOINT_URL right, and the network up?",
}
"""What the client's own errors mean, by class."""

_PASSING_CODES = {
    "BadDigest",  # these three: the body was damaged on its way
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "ConditionalRequestConflict",
    "IncompleteBody",
    "OperationAborted",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestLimitExceeded",
}
"""Codes of S3 that pass, whatever status they come with."""

_PASSING_STATUSES = {408, 429, 500, 502, 503, 504}
"""HTTP: a time-out, too many requests, and the server's own trouble; 501 is a lack that lasts."""

_PASSING_OF_CLIENTS = {
    "aiohttp": ("ClientConnectionError", "ClientPayloadError"),
    "botocore.exceptions": (
        "ConnectionClosedError",
        "ConnectTimeoutError",
        "EndpointConnectionError",
        "FlexibleChecksumError",
        "HTTPClientError",
        "IncompleteReadError",
        "ReadTimeoutError",
        "ResponseStreamingError",
    ),
    "botocore.parsers": ("ResponseParserError",),
}
"""What the clients of S3 and HTTP raise for a connection that broke or an answer that was cut short or damaged."""


class Answer(NamedTuple):
    """A server's refusal."""

    status: int
    """Of HTTP."""
    code: str
    """S3's own word, such as `SlowDown`; where the answer had no body, the status again."""


class FileChangedError(OSError):
    """The file was replaced while it was read."""


class ShortAnswerError(ConnectionError):
    """Fewer bytes came than there are, or damaged ones."""


def answer_of(error: BaseException) -> Answer | None:
    """Return what an S3 or HTTP server answered, where the error comes from an answer."""
    for source in (error, error.__cause__):
        response = getattr(source, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            return Answer(int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)), code)
        status = getattr(source, "status", None)  # of aiohttp
        if isinstance(status, int):
            return Answer(status, "")
    return None


def is_passing(error: BaseException) -> bool:
    """Tell whether the same request may well succeed a moment later."""
    answer = answer_of(error)
    if answer is not None:
        return answer.status in _PASSING_STATUSES or answer.code in _PASSING_CODES
    # fsspec's HTTP calls whatever goes wrong a file that is not there.
    source = error.__cause__ if isinstance(error, FileNotFoundError) else error
    return isinstance(source, (ConnectionError, TimeoutError, *_loaded(_PASSING_OF_CLIENTS)))


def failures() -> tuple[type[Exception], ...]:
    """Return what filesystems fail with: `OSError`, and what S3's and HTTP's clients raise besides."""
    return OSError, *_loaded({"aiohttp": ("ClientError",), "botocore.exceptions": ("BotoCoreError", "ClientError")})


def cause_of(error: BaseException) -> str:
    """Say in words why a filesystem failed."""
    answer = answer_of(error)
    if answer is not None and answer.code in _WORDS:
        return _WORDS[answer.code]
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return _CAUSES[errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EACCES]
    said = str(error).removeprefix(f"[Errno {getattr(error, 'errno', None)}] ").rstrip(".")
    if answer is not None:
        return f"the server answered {answer.status} ({said})"
    if isinstance(error, TimeoutError) and not said:
        return "no answer came in time"
    number = error.errno if isinstance(error, OSError) else None
    words = _WORDS_OF_CLIENTS.get(type(error).__name__) or _CAUSES.get(number or 0)
    return words or str(error).rstrip(".") or type(error).__name__


@contextlib.contextmanager
def translate_errors(url: str, verb: str) -> Iterator[None]:
    """Turn a filesystem's failure into a `StorageError` that names the place and the cause."""
    try:
        yield
    except failures() as error:
        message = f"{url} could not be {verb}: {cause_of(error)}."
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(message) from error
        # An expired key is answered with a denial, too: on a remote store it is the run's trouble, not the file's.
        denied = isinstance(error, PermissionError) and ("://" not in url or url.startswith("file://"))
        is_pipe = getattr(error, "errno", None) == errno.ENXIO
        lasting = denied or is_pipe or isinstance(error, IsADirectoryError)
        raise StorageError(message, lasting=lasting) from error


def _loaded(names: dict[str, tuple[str, ...]]) -> tuple[type[Exception], ...]:
    """Return classes of the libraries that are in use; the others are not imported for their errors' sake."""
    return tuple(
        getattr(sys.modules[module], name) for module in names if module in sys.modules for name in names[module]
    )


class TranslatingFile(io.RawIOBase):
    """An open file whose failures are told from those of a decompressor or parser that reads it; its bytes count."""

    def __init__(self, file: IO[bytes] | io.RawIOBase, url: str) -> None:
        self._file = file
        self._url = url

    def readable(self) -> bool:
        """It is open for reading."""
        return True

    def seekable(self) -> bool:
        """Every filesystem's files are."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the buffer protocol has a type from Python 3.12 on
        """Fill a buffer as far as there are bytes."""
        with translate_errors(self._url, "read"):
            size_bytes = int(self._file.readinto(buffer))  # type: ignore[union-attr]  # typeshed's IO lacks it
        usage.count(read_bytes=size_bytes)
        return size_bytes

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; to before the start is the reader's mistake, as in a damaged archive."""
        if whence == io.SEEK_SET and offset < 0:
            raise ValueError(f"there is no byte {offset}")
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Close the file below, too."""
        self._file.close()
        super().close()
