"""`secrets` finds secrets by their form or because they are known, and never repeats them."""

import string
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.core.secrets import MIN_LENGTH, check_no_secrets, refuse_credentials, secrets_of

LETTERS = st.text(string.ascii_letters + string.digits + "!$%^&*-_=+.", min_size=1)


def is_refused(check: Callable[[], None]) -> bool:
    """Tell whether a check refuses."""
    try:
        check()
    except UsageError:
        return True
    return False


def refused(text: str, known: tuple[str, ...] = ()) -> str:
    """Return the message that refuses a text."""
    with pytest.raises(UsageError) as caught:
        check_no_secrets([("--model", text)], known)
    return str(caught.value)


@pytest.mark.parametrize("text", [
    "https://anna:hunter22@storage.example.org/tiles",
    "s3://anna:hunter22@bucket/tiles",
    "ftp://anna:1234@host/tiles",
    "https://glpat-abcdef@git.example.org/model",
    "https://bucket.s3.amazonaws.com/a.zip?versionId=3&X-Amz-Signature=0123abcd",
    "https://account.blob.core.windows.net/c/a.zip?sv=2024&sig=0123abcd",
    "https://host/a.zip?access_token=0123abcd",
    "the password: hunter22",
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI",
    "AKIAIOSFODNN7EXAMPLE",
    "-----BEGIN RSA PRIVATE KEY-----",
    "ghp_0123456789abcdefghijABCDEFGHIJ012345",
])  # fmt: skip
def test_secrets_are_found_by_their_form(text: str) -> None:
    """These are passwords and tokens in URLs, signatures, and keys of the usual services."""
    assert text not in refused(text)


@pytest.mark.parametrize("text", [
    "s3://inspections/2026-11/", "https://host:9000/a@b/photo.jpg", "abfs://container@account.dfs.core.windows.net/x",
    "/data/anna@home/key=1/a.zip", "https://host/a.zip?versionId=3", "registry.example.org/crackscan:1@sha256:0123",
    "deck of bridge 7: seen from below, 3 m; tokens of wear", "photos of the monkey?key_frame=2", "", "gs://b/a:b/c",
])  # fmt: skip
def test_usual_texts_hold_no_secret(text: str) -> None:
    """Places, notes and container images pass."""
    assert not is_refused(lambda: check_no_secrets([("--model", text)], ()))


@given(LETTERS, LETTERS)
def test_any_password_in_an_url_is_found(user: str, password: str) -> None:
    """The message does not repeat it."""
    message = refused(f"s3://{user}:{password}@bucket/x")
    assert message == refused("s3://u:p@bucket/x")


@given(LETTERS.filter(lambda text: len(text) >= MIN_LENGTH), LETTERS)
def test_a_known_secret_is_found_anywhere(secret: str, around: str) -> None:
    """Known are the values of variables with telling names, except short ones; the names are no secrets."""
    environment = {"AWS_SECRET_ACCESS_KEY": secret, "HF_TOKEN": "short", "HOME": "/home/of-somebody",
                   "AWS_ACCESS_KEY_ID": "some-key-id"}  # fmt: skip
    known = secrets_of(environment.items())
    assert known == {secret}
    assert "which anyone who sees the cluster's dashboard could read" in refused(f"{around}{secret}{around}", (secret,))


@pytest.mark.parametrize("place", [
    None, "s3://bucket/2026-11-03T21:30@bridge/in.zip", "photos@2026/key=5", "abfs://container@account/in",
    "http://host:9000/a@b.zip", "/data/user:x@y/in", "s3://bucket/what?ey*.jpg", "/data/password=5/secret: x",
])  # fmt: skip
def test_usual_places_hold_no_secret(place: str | None) -> None:
    """Times, at signs and ports are no passwords, and local files may have any name."""
    assert not is_refused(lambda: refuse_credentials([("An input", place)]))
