"""`storage` puts failures of stores into words, and does not mistake them for damage."""

import errno
import io
import os

import pytest
from botocore.exceptions import ClientError

from pipeline.core.errors import StorageError
from pipeline.storage.errors import TranslatingFile, translate_errors


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (FileNotFoundError("gone"), "it was not found"),
        (PermissionError("no"), "permission was denied"),
        (OSError(errno.EACCES, ""), "permission was denied"),
        (OSError(errno.ENOSPC, ""), "the disk is full"),
        (OSError(errno.ENOTDIR, ""), "a part of its path is a file"),
        (OSError(errno.EIO, "Input/output error"), "[Errno 5] Input/output error"),
        (OSError("of a library, without a number"), "of a library, without a number"),
    ],
)
def test_failures_are_put_into_words(error: OSError, cause: str) -> None:
    """The message has place, action and cause; the original error stays attached."""
    with pytest.raises(StorageError) as caught, translate_errors("s3://bucket/a", "read"):
        raise error

    assert str(caught.value) == f"s3://bucket/a could not be read: {cause}."
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("kind", "status", "code", "cause"),
    [
        (FileNotFoundError, 404, "NoSuchKey", "it was not found"),
        (FileNotFoundError, 404, "NoSuchBucket", "there is no such bucket"),
        (PermissionError, 403, "403", "permission was denied"),
        (
            PermissionError,
            403,
            "SignatureDoesNotMatch",
            "permission was denied: the secret key does not fit the access key",
        ),
        (OSError, 503, "SlowDown", "the server answered 503 (reduce your request rate)"),
    ],
)
def test_a_servers_answer_is_put_into_words(kind: type[OSError], status: int, code: str, cause: str) -> None:
    """The code counts where it says more than the kind of error."""
    error = kind(errno.EBUSY, "reduce your request rate") if kind is OSError else kind("as the server says")
    error.__cause__ = ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "GetObject"
    )

    with pytest.raises(StorageError) as caught, translate_errors("s3://bucket/a", "read"):
        raise error

    assert str(caught.value) == f"s3://bucket/a could not be read: {cause}."


def test_a_denial_is_permanent_on_local_disk_only() -> None:
    """On a remote store it may be an expired key, which concerns the run, not the file."""
    for url, permanent in (("file:///a", True), ("s3://bucket/a", False)):
        with pytest.raises(StorageError) as caught, translate_errors(url, "read"):
            raise PermissionError
        assert caught.value.permanent == permanent


class _BadDisk(io.BytesIO):
    """An unreadable file."""

    def readinto(self, _buffer: object) -> int:
        """Fail as a broken disk does."""
        raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_a_late_failure_is_put_into_words() -> None:
    """The file may fail long after it was opened, below any library."""
    with TranslatingFile(_BadDisk(), "file:///a.zip") as file, pytest.raises(StorageError) as caught:
        file.readall()

    assert str(caught.value) == "file:///a.zip could not be read: [Errno 5] Input/output error."


def test_a_file_reads_as_the_one_below_and_closes_it() -> None:
    """Bytes and positions are the same; a position before the start is an error of the caller."""
    below = io.BytesIO(b"0123456789")

    with TranslatingFile(below, "file:///a") as file:
        assert file.seek(-4, os.SEEK_END) == 6
        assert file.read(2) == b"67"
        with pytest.raises(ValueError, match="there is no byte -1"):
            file.seek(-1)

    assert below.closed
