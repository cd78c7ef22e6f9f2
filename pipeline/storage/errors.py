"""Failures of stores in words, and which of them are transient.

Every filesystem's failure becomes a `StorageError`. `storage.retry` repeats what is transient.
"""

import contextlib
import errno
import io
import sys
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from pipeline.core import usage
from pipeline.core.errors import NotFoundError, StorageError

ERRNO_WORDS = {
    errno.EACCES: "permission was denied",
    errno.EPERM: "permission was denied",
    errno.ENOENT: "it was not found",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the disk is read-only",
    errno.EISDIR: "it is a folder",
    errno.ENXIO: "it is a pipe or device",
    errno.ENOTDIR: "a part of its path is a file",
    errno.ELOOP: "it is a link that leads back to itself",
    errno.EEXIST: "a part of its path is a file",
}
"""The usual error numbers, in words."""

_PERMANENT = {errno.ENOTDIR, errno.ELOOP, errno.ENXIO}
"""Error numbers of a place that is no file, and of links that lead to none."""

_OTHER_REGION = "the bucket is in another region; set AWS_DEFAULT_REGION to that"

REDIRECTED = "the server redirects to another one; is AWS_ENDPOINT_URL right (http or https), and AWS_DEFAULT_REGION?"

SERVER_WORDS = {
    "NoSuchBucket": "there is no such bucket",
    "SignatureDoesNotMatch": "permission was denied: the secret key does not fit the access key",
    "InvalidAccessKeyId": "permission was denied: the access key is not known there",
    "ExpiredToken": "permission was denied: the session token has expired",
    "InvalidToken": "permission was denied: the session token is not valid there",
    "RequestTimeTooSkewed": "permission was denied: this machine's clock is wrong",
    "AuthorizationHeaderMalformed": _OTHER_REGION,
    "IllegalLocationConstraintException": _OTHER_REGION,
    "PermanentRedirect": REDIRECTED,
}
"""Codes of servers that say more than the kind of error."""

_MAY_NOT_READ = (
    "permission was denied: the key may not read (s3:GetObject), or nothing is there and it may not list "
    "(s3:ListBucket)"
)
_MAY_NOT_WRITE = "permission was denied: the key may not write (s3:PutObject)"

DENIAL_WORDS = {
    "ListObjectsV2": "permission was denied: the key may not list (s3:ListBucket)",
    "GetObject": _MAY_NOT_READ,
    "HeadObject": _MAY_NOT_READ,
    "PutObject": _MAY_NOT_WRITE,
    "CreateMultipartUpload": _MAY_NOT_WRITE,
    "UploadPart": _MAY_NOT_WRITE,
    "CompleteMultipartUpload": _MAY_NOT_WRITE,
    "DeleteObject": "permission was denied: the key may not remove (s3:DeleteObject)",
}
"""What a key that is sound lacks, by the operation of S3 that was denied."""

_UNREACHABLE = "the server could not be reached; is AWS_ENDPOINT_URL right, and the network up?"

CLIENT_WORDS = {
    "NoCredentialsError": "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "EndpointConnectionError": _UNREACHABLE,
    "ConnectTimeoutError": _UNREACHABLE,
    "ParamValidationError": "it is no valid name of a bucket and an object",
    "ClientConnectorError": "the server could not be reached; is the address right, and the network up?",
}
"""The clients' own errors, by class or base class."""

_TRANSIENT_CODES = {
    "BadDigest",  # these three: the network damaged the body
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
"""Codes of S3 that are transient under any status."""

_TRANSIENT_STATUSES = {408, 429, 500, 502, 503, 504}
"""HTTP: a time-out, too many requests, and errors of the server, except 501, which is permanent."""

_TRANSIENT_CLIENT_ERRORS = {
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
"""What the clients of S3 and HTTP raise for a broken connection and for a short or damaged answer."""


class Answer(NamedTuple):
    """A server's refusal."""

    status: int
    """Of HTTP."""
    code: str
    """Of S3, such as `SlowDown`; the status again if the answer had no body."""
    operation: str = ""
    """Of S3, such as `GetObject`."""
    reason: str = ""
    """Of HTTP, such as `Bad Gateway`."""


class FileChangedError(OSError):
    """Another file replaced this one during the read."""


class NoBucketError(OSError):
    """The whole bucket is missing: no `FileNotFoundError`, after which a caller would go on without the file."""


class ShortAnswerError(ConnectionError):
    """Too few bytes came, or damaged ones."""


def answer_of(error: BaseException) -> Answer | None:
    """Return the answer of an S3 or HTTP server that caused an error; None if there was none."""
    for source in (error, error.__cause__):
        response = getattr(source, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            number = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            return Answer(number, code, str(getattr(source, "operation_name", "")))
    status = getattr(error, "status", None)  # of aiohttp
    return Answer(status, "", reason=str(getattr(error, "message", ""))) if isinstance(status, int) else None


def is_transient(error: BaseException) -> bool:
    """Tell whether the same request is likely to succeed a moment later."""
    answer = answer_of(error)
    if answer is not None:
        return answer.status in _TRANSIENT_STATUSES or answer.code in _TRANSIENT_CODES
    return isinstance(error, (ConnectionError, TimeoutError, *_loaded(_TRANSIENT_CLIENT_ERRORS)))


def failures() -> tuple[type[Exception], ...]:
    """Return the errors of filesystems: `OSError`, and what the clients of S3 and HTTP raise besides."""
    return OSError, *_loaded({"aiohttp": ("ClientError",), "botocore.exceptions": ("BotoCoreError", "ClientError")})


def cause_of(error: BaseException) -> str:
    """Put the cause of a filesystem's failure into words."""
    answer = answer_of(error)
    words = None if answer is None else _words_of(answer)
    if words is not None:
        return words
    if isinstance(error, (FileNotFoundError, PermissionError)):
        return ERRNO_WORDS[errno.ENOENT if isinstance(error, FileNotFoundError) else errno.EACCES]
    text = str(error).removeprefix(f"[Errno {getattr(error, 'errno', None)}] ").rstrip(".")
    if answer is not None:
        return f"the server answered {answer.status} ({answer.reason or text})"
    if isinstance(error, TimeoutError) and not text:
        return "no answer came in time"
    number = error.errno if isinstance(error, OSError) else None
    of_client = (CLIENT_WORDS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in CLIENT_WORDS)
    words = next(of_client, None) or ERRNO_WORDS.get(number or 0)
    return words or str(error).rstrip(".") or type(error).__name__


def _words_of(answer: Answer) -> str | None:
    """Return what the code of an answer says; None if it says no more than the kind of error."""
    if answer.code == "AccessDenied":
        return DENIAL_WORDS.get(answer.operation)
    if not answer.code and answer.status in {401, 403}:  # plain HTTP
        return ERRNO_WORDS[errno.EACCES]
    return SERVER_WORDS.get(answer.code)


@contextlib.contextmanager
def unmask_failures() -> Iterator[None]:
    """Raise what is behind a `FileNotFoundError`: fsspec's HTTP reports a refused connection or a denial as one."""
    try:
        yield
    except FileNotFoundError as error:
        behind = error.__cause__
        if not isinstance(behind, failures()) or getattr(behind, "status", None) in {404, 410}:
            raise
        raise behind from None


@contextlib.contextmanager
def translate_errors(url: str, verb: str) -> Iterator[None]:
    """Turn a filesystem's failure into a `StorageError` that names the place and the cause."""
    try:
        yield
    except failures() as error:
        cause = cause_of(error)
        message = f"{url} could not be {verb}: {cause}" + ("" if cause.endswith("?") else ".")
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(message) from error
        # A store answers an expired key with a denial, too: there it concerns the run, not the file.
        denied = isinstance(error, PermissionError) and ("://" not in url or url.startswith("file://"))
        is_no_file = getattr(error, "errno", None) in _PERMANENT or isinstance(error, IsADirectoryError)
        permanent = denied or is_no_file
        raise StorageError(message, permanent=permanent) from error


def _loaded(names: dict[str, tuple[str, ...]]) -> tuple[type[Exception], ...]:
    """Return error classes of the libraries that are loaded already; the others can have raised nothing."""
    return tuple(
        getattr(sys.modules[module], name) for module in names if module in sys.modules for name in names[module]
    )


class TranslatingFile(io.RawIOBase):
    """An open file that counts its bytes, and whose failures differ from those of the decompressor that reads it."""

    def __init__(self, file: IO[bytes] | io.RawIOBase, url: str) -> None:
        self._file = file
        self._url = url

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True, as for the files of every filesystem."""
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - the buffer protocol has a type from Python 3.12 on
        """Fill a buffer, or a part of it at the end of the file."""
        with translate_errors(self._url, "read"):
            size_bytes = int(self._file.readinto(buffer))  # type: ignore[union-attr]  # typeshed's IO lacks it
        usage.count(read_bytes=size_bytes)
        return size_bytes

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; a position before the start is an error of the reader, as in a damaged archive."""
        if whence == io.SEEK_SET and offset < 0:
            raise ValueError(f"there is no byte {offset}")
        return self._file.seek(offset, whence)

    def close(self) -> None:
        """Close the file below, too."""
        self._file.close()
        super().close()
