"""Every verb of `storage` tells why a store refused it, although the answer to a HEAD has no body."""

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from pipeline import storage
from pipeline.core.errors import NotFoundError, StorageError
from pipeline.storage.retry import limit_retries
from tests.helpers.refusing_server import Refusal, refuse

SECRET = "a-secret-that-nobody-may-see"  # noqa: S105 - it opens nothing

UNREACHABLE = "the server could not be reached; is AWS_ENDPOINT_URL right, and the network up? (the last of "


def _verbs(tmp_path: Path) -> dict[str, Callable[[str], object]]:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    return {
        "exists": storage.exists,
        "is_folder": storage.is_folder,
        "stat": storage.stat,
        "list_files": storage.list_files,
        "glob": lambda url: storage.glob(f"{url}*"),
        "read_bytes": storage.read_bytes,
        "read_many": lambda url: list(storage.read_many([url])),
        "read_ranges": lambda url: storage.read_ranges(url, [(0, 1)]),
        "open_file": storage.open_file,
        "write_whole": lambda url: storage.write_whole(url, b"x"),
        "create": lambda url: storage.create(url, b"x"),
        "upload": lambda url: storage.upload(file, url),
        "remove": storage.remove,
    }


def _causes(url: str, tmp_path: Path) -> dict[str, str]:
    """Return what each verb says after the place and the verb."""
    causes = {}
    for name, verb in _verbs(tmp_path).items():
        with pytest.raises(StorageError) as caught:
            verb(url)
        assert SECRET not in str(caught.value)
        assert not isinstance(caught.value, NotFoundError), "a caller would go on as if only a file were missing"
        causes[name] = str(caught.value).partition(": ")[2]
    return causes


@pytest.fixture(autouse=True)
def _client(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set keys for a client that gives up soon."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    S3FileSystem.clear_instance_cache()
    with limit_retries(0.1, first_wait_s=0.01):
        yield
    S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("refusal", "cause"),
    [
        (
            Refusal(403, "SignatureDoesNotMatch"),
            "permission was denied: the secret key does not fit the access key.",
        ),
        (Refusal(403, "InvalidAccessKeyId"), "permission was denied: the access key is not known there."),
        (Refusal(400, "ExpiredToken"), "permission was denied: the session token has expired."),
        (Refusal(400, "InvalidToken"), "permission was denied: the session token is not valid there."),
        (Refusal(403, "RequestTimeTooSkewed"), "permission was denied: this machine's clock is wrong."),
        (Refusal(404, "NoSuchBucket"), "there is no such bucket."),
        (
            Refusal(400, "AuthorizationHeaderMalformed"),
            "the bucket is in another region; set AWS_DEFAULT_REGION to that.",
        ),
        (
            Refusal(301),  # as of a web server that wants https
            "the server redirects to another one; is AWS_ENDPOINT_URL right (http or https), and AWS_DEFAULT_REGION?",
        ),
        (Refusal(403), "permission was denied."),
    ],
    ids=lambda value: f"{value.status} {value.code}" if isinstance(value, Refusal) else "",
)
def test_every_verb_tells_the_cause(
    refusal: Refusal, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cause is the store's, whichever request came first."""
    with refuse(refusal) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        causes = _causes("s3://bucket/photos", tmp_path)

    assert causes == dict.fromkeys(causes, cause)


def test_a_sound_key_without_a_right_is_told_which(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The right is that of the request that was denied."""
    with refuse(Refusal(403, "AccessDenied")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        causes = _causes("s3://bucket/photos", tmp_path)

    listing = "permission was denied: the key may not list (s3:ListBucket)."
    reading = (
        "permission was denied: the key may not read (s3:GetObject), or nothing is there and it may not list "
        "(s3:ListBucket)."
    )
    writing = "permission was denied: the key may not write (s3:PutObject)."
    assert causes == {
        **dict.fromkeys(("is_folder", "list_files", "glob"), listing),
        **dict.fromkeys(("exists", "stat", "read_bytes", "read_many", "read_ranges", "open_file"), reading),
        **dict.fromkeys(("write_whole", "create", "upload"), writing),
        "remove": "permission was denied: the key may not remove (s3:DeleteObject).",
    }


def test_what_never_reached_a_store_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No server, no address, no credentials, no name of a bucket: each has a cause of its own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{_closed_port()}")
    causes = _causes("s3://bucket/photos", tmp_path)
    assert {cause[: len(UNREACHABLE)] for cause in causes.values()} == {UNREACHABLE}

    S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"user:{SECRET}@127.0.0.1")
    expected = "AWS_ENDPOINT_URL is no URL of a server; expected one such as https://host:9000."
    causes = _causes("s3://bucket/photos", tmp_path)
    assert causes == dict.fromkeys(causes, expected)

    with refuse(Refusal(500)) as endpoint:
        S3FileSystem.clear_instance_cache()
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        causes = _causes("s3://a bucket/photos", tmp_path)
        assert causes == dict.fromkeys(causes, "it is no valid name of a bucket and an object.")

        S3FileSystem.clear_instance_cache()
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        causes = _causes("s3://bucket/photos", tmp_path)
    expected = "no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
    assert causes == dict.fromkeys(causes, expected)


READING = ("exists", "is_folder", "stat", "read_bytes", "read_many", "read_ranges", "open_file")
"""The verbs that crackscan uses over HTTP."""


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, "permission was denied."),
        (403, "permission was denied."),
        (400, "the server answered 400 (Bad Request)."),
        (500, "the server answered 500 (Internal Server Error)"),
        (None, "the server could not be reached; is the address right, and the network up?"),
    ],
)
def test_a_failure_over_http_is_no_missing_file(status: int | None, cause: str, tmp_path: Path) -> None:
    """To fsspec each is a missing file; crackscan tells what it is."""
    with refuse(Refusal(status or 500)) as endpoint:
        url = endpoint if status else f"http://127.0.0.1:{_closed_port()}"
        for name in READING:
            with pytest.raises(StorageError) as caught:
                _verbs(tmp_path)[name](f"{url}/photos.zip")
            assert not isinstance(caught.value, NotFoundError)
            assert str(caught.value).partition(": ")[2].startswith(cause), name


def test_a_missing_file_over_http_is_missing(tmp_path: Path) -> None:
    """Only 404 and 410 say so."""
    for status in (404, 410):
        with refuse(Refusal(status)) as endpoint:
            assert not storage.exists(f"{endpoint}/photos.zip")
            for name in ("stat", "open_file"):
                with pytest.raises(NotFoundError, match="it was not found"):
                    _verbs(tmp_path)[name](f"{endpoint}/photos.zip")


def _closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
