"""One policy: what passes is tried again until the time is up, what lasts is told at once."""

import errno
import logging

import pytest
from aiohttp import ClientResponseError
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from pipeline.storage.errors import ShortAnswerError, is_passing
from pipeline.storage.retry import OutOfTimeError, attempt_s, limit_retries, retry


@pytest.fixture(autouse=True)
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.storage.retry.FIRST_WAIT_S", 0.001)


def _refusal(status: int, code: str) -> OSError:
    """Return what s3fs makes of a server's answer."""
    error = OSError(errno.EIO, "as the server says")
    error.__cause__ = ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "GetObject",
    )
    return error


def _answer_of_http(status: int) -> FileNotFoundError:
    """Return what fsspec's HTTP makes of any answer but a good one."""
    error = FileNotFoundError("https://host/photos.zip")
    error.__cause__ = ClientResponseError(None, (), status=status)  # type: ignore[arg-type]  # not looked at
    return error


@pytest.mark.parametrize(
    ("error", "passes"),
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
        (_answer_of_http(503), True),
        (_answer_of_http(404), False),
        (ClientResponseError(None, (), status=503), True),  # type: ignore[arg-type]
        (PermissionError(), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
    ],
)
def test_what_passes_is_told_from_what_lasts(error: Exception, *, passes: bool) -> None:
    """By the server's answer where there is one, else by the kind of failure."""
    assert is_passing(error) == passes


class _Store:
    """Fails so many times, then answers with the number of attempts."""

    def __init__(self, failures: int, error: Exception) -> None:
        self.failures, self.error, self.attempts = failures, error, 0

    def __call__(self) -> int:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise self.error
        return self.attempts


def test_what_passes_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """The answer is that of the attempt that succeeded; each failure before it is a warning with place and cause."""
    with caplog.at_level(logging.WARNING, "crackscan"):
        assert retry("s3://bucket/a", _Store(3, _refusal(503, "SlowDown"))) == 4

    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert all('"url": "s3://bucket/a"' in line for line in lines)
    assert all("the server answered 503 (as the server says)" in line for line in lines)


def test_what_lasts_is_tried_once() -> None:
    """The failure comes out as it is."""
    store = _Store(9, FileNotFoundError("none"))

    with pytest.raises(FileNotFoundError, match="none"):
        retry("s3://bucket/a", store)
    assert store.attempts == 1


def test_the_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not pass after all comes out with its cause and the number of attempts."""
    monkeypatch.setattr("pipeline.storage.retry.LIMIT_S", 0.2)
    monkeypatch.setattr("pipeline.storage.retry.LONGEST_WAIT_S", 0.01)
    store = _Store(1_000_000, ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    with pytest.raises(OutOfTimeError) as caught:
        retry("s3://bucket/a", store)

    assert store.attempts > 2
    assert str(caught.value).startswith("[Errno 104] Connection reset by peer (the last of ")
    assert str(caught.value).endswith(f"{store.attempts} attempts in 0 s)")
    assert not is_passing(caught.value)


def test_who_waits_for_the_answer_may_give_up_sooner() -> None:
    """Within the context, and not after it."""
    failing = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
    with limit_retries(0.05), pytest.raises(OutOfTimeError):
        retry("s3://bucket/a", _Store(1_000_000, failing))
    assert retry("s3://bucket/a", _Store(1, failing)) == 2


def test_an_attempt_has_time_for_its_bytes() -> None:
    """Half a minute for the answer, and what a slow line needs for a block of 8 MiB."""
    assert attempt_s() == 30
    assert 60 < attempt_s(8 << 20) < 70
