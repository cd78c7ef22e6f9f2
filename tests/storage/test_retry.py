"""One policy: transient errors are retried until the time is up, permanent ones raised at once."""

import errno
import logging
from collections.abc import Iterator

import pytest
from aiohttp import ClientResponseError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from pipeline.storage.errors import ShortAnswerError, is_transient
from pipeline.storage.retry import OutOfTimeError, RetryPolicy, current_policy, limit_retries, retry


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    with limit_retries(RetryPolicy().limit_s, first_wait_s=0.001):
        yield


def _refusal(status: int, code: str) -> OSError:
    """Return the error that s3fs makes of a server's answer."""
    error = OSError(errno.EIO, "as the server says")
    error.__cause__ = ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "GetObject",
    )
    return error


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (_refusal(503, "SlowDown"), True),
        (_refusal(500, "InternalError"), True),
        (_refusal(503, "503"), True),
        (_refusal(400, "RequestTimeout"), True),
        (_refusal(400, "BadDigest"), True),
        (_refusal(400, "XAmzContentSHA256Mismatch"), True),
        (_refusal(409, "ConditionalRequestConflict"), True),
        (_refusal(429, "TooManyRequests"), True),
        (_refusal(400, "InvalidRequest"), False),
        (_refusal(403, "SignatureDoesNotMatch"), False),
        (_refusal(404, "NoSuchBucket"), False),
        (_refusal(412, "PreconditionFailed"), False),
        (_refusal(501, "NotImplemented"), False),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (ShortAnswerError("3 bytes came where 4 were due"), True),
        (ReadTimeoutError(endpoint_url="http://s3"), True),
        (EndpointConnectionError(endpoint_url="http://s3"), True),
        (NoCredentialsError(), False),
        (FileNotFoundError(), False),
        (ClientResponseError(None, (), status=503), True),  # type: ignore[arg-type]
        (PermissionError(), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_transient_errors_are_recognised(error: Exception, *, transient: bool) -> None:
    """The server's answer decides, or the class of the error if there is no answer."""
    assert is_transient(error) == transient


class _Store:
    """Fails a number of times, then returns the number of attempts."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.attempts = failures, error, 0

    def __call__(self) -> int:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise self.error
        return self.attempts


def test_a_transient_error_is_retried(caplog: pytest.LogCaptureFixture) -> None:
    """The first success counts; each failure before it is a warning in the log with place and cause."""
    with caplog.at_level(logging.WARNING, "crackscan"):
        assert retry("s3://bucket/a", _Store(3, _refusal(503, "SlowDown"))) == 4

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert all('"url": "s3://bucket/a"' in line for line in lines)
    assert all("the server answered 503 (as the server says)" in line for line in lines)


def test_a_permanent_error_is_not_retried() -> None:
    """The caller gets the error itself."""
    store = _Store(9, FileNotFoundError("none"))

    with pytest.raises(FileNotFoundError, match="none"):
        retry("s3://bucket/a", store)
    assert store.attempts == 1


def test_the_time_is_limited() -> None:
    """The error after the last attempt has its cause and the number of attempts."""
    store = _Store(1_000_000, ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    with limit_retries(0.2, longest_wait_s=0.01), pytest.raises(OutOfTimeError) as caught:
        retry("s3://bucket/a", store)

    assert store.attempts > 2
    assert str(caught.value).startswith("[Errno 104] Connection reset by peer (the last of ")
    assert str(caught.value).endswith(f"{store.attempts} attempts in 0 s)")
    assert not is_transient(caught.value)


def test_a_limit_ends_with_its_context() -> None:
    """Afterwards the previous policy is back."""
    failing = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    before = current_policy()
    with limit_retries(0.05), pytest.raises(OutOfTimeError):
        retry("s3://bucket/a", _Store(1_000_000, failing))
    assert current_policy() == before
    assert retry("s3://bucket/a", _Store(1, failing)) == 2


def test_an_attempt_has_time_for_its_bytes() -> None:
    """It has half a minute for the answer, plus the time that a slow line needs for a block of 8 MiB."""
    assert RetryPolicy().attempt_s() == 30
    assert 60 < RetryPolicy().attempt_s(8 << 20) < 70
