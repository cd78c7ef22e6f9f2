"""Every command tells why a store refused it, in one sentence and with the same words."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from s3fs import S3FileSystem

from pipeline import storage
from pipeline.cli import main
from pipeline.core.errors import StorageError
from pipeline.dataset.duckdb_filesystem import StoredFiles
from pipeline.storage.retry import limit_retries
from tests.conftest import Crackscan
from tests.helpers.refusing_server import Refusal, refuse
from tests.helpers.scored_photos import photo, score_archives, zip_photos

SECRET = "a-secret-that-nobody-may-see"  # noqa: S105 - it opens nothing

COMMANDS = (
    ["plan", "PLACE"],
    ["score", "PLACE", "--out", "out"],
    ["score", "PLACE/*.zip", "--out", "out"],
    ["score", "photos.zip", "--out", "PLACE"],
    ["retry", "PLACE"],
    ["status", "PLACE"],
    ["verify", "PLACE"],
    ["query", "PLACE", "SELECT 1 FROM images"],
    ["report", "PLACE"],
    ["report", "scores", "--out", "PLACE/page.html"],
    ["export", "PLACE", "--to", "csv", "--out", "images.csv"],
    ["export", "scores", "--to", "csv", "--out", "PLACE/images.csv"],
    ["compact", "PLACE", "--to", "new"],
    ["compact", "scores", "--to", "PLACE"],
    ["overlay", "PLACE", "a.jpg"],
    ["review", "PLACE", "--out", "tiles"],
    ["relocate", "PLACE", "photos", "photos2"],
    ["compare", "PLACE", "scores"],
    ["train", "PLACE", "--out", "model"],
    ["evaluate", "PLACE"],
    ["doctor", "PLACE"],
)

CAUSES = {
    Refusal(400, "ExpiredToken"): "permission was denied: the session token has expired",
    Refusal(404, "NoSuchBucket"): "there is no such bucket",
    Refusal(403, "SignatureDoesNotMatch"): "permission was denied: the secret key does not fit the access key",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with an archive and a dataset."""
    folder = tmp_path_factory.mktemp("place")
    score_archives(folder / "scores", zip_photos(folder / "photos.zip", {"a.jpg": photo(90)}))
    return folder


@pytest.fixture(autouse=True)
def _keys(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Work in that folder, with keys for a store that refuses them."""
    monkeypatch.chdir(place)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "ACCESS_KEY_ID": "key",
        "SECRET_ACCESS_KEY": SECRET,
        "DEFAULT_REGION": "us-east-1",
        "CONFIG_FILE": os.devnull,
        "SHARED_CREDENTIALS_FILE": os.devnull,
        "EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_tells_the_cause(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Expired token, missing bucket, wrong secret: whatever the place is for, and never the secret."""
    for refusal, cause in CAUSES.items():
        with refuse(refusal) as endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
            S3FileSystem.clear_instance_cache()
            shown = CliRunner().invoke(main, [word.replace("PLACE", "s3://bucket/place") for word in words])
        assert (shown.exit_code, f": {cause}" in " ".join(shown.output.split())) == (1, True), shown.output
        assert SECRET not in shown.output + repr(shown.exception)


def test_the_whole_message(crackscan: Crackscan, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing bucket is told with the same words as input and as OUT."""
    with refuse(Refusal(404, "NoSuchBucket")) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        given = [
            crackscan("score", "s3://bridges/a", "--out", "out"),
            crackscan("score", place / "photos.zip", "--out", "s3://bridges/a"),
        ]

    assert [done.returncode for done in given] == [1, 1]
    assert given[0].stderr == "crackscan: s3://bridges/a could not be looked up: there is no such bucket.\n"
    out = "s3://bridges/a/images/part-000000.parquet"
    assert given[1].stderr == f"crackscan: {out} could not be looked up: there is no such bucket.\n"


def test_duckdb_keeps_the_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    """DuckDB itself shows a traceback, so the filesystem keeps the error of whichever method it called."""
    with refuse(Refusal(400, "ExpiredToken")) as endpoint, limit_retries(0.1):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        for ask in ("open", "size", "exists", "glob"):
            files = StoredFiles("s3")
            with pytest.raises(StorageError):
                getattr(files, ask)("s3://bucket/images/*.parquet")
            assert str(files.failure).endswith("permission was denied: the session token has expired.")
    assert storage.exists("scores/run.json")
