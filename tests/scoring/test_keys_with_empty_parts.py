"""Keys of S3 with an empty part, such as `p//a.png`, are photos of their own, whatever else the bucket holds."""

import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from s3fs import S3FileSystem

from pipeline import storage
from pipeline.cli import main
from pipeline.core.errors import StorageError
from pipeline.dataset.layout import Layout
from tests.helpers.key_server import serve_keys
from tests.helpers.plans import make_listed_plan
from tests.helpers.scored_photos import photo, score_archives

LOOSE = (
    "/a.png",
    "//a.png",
    "a.png",
    "p/a.png",
    "p//a.png",
    "p///a.png",
    "p//q//a.png",
    "p/q/a.png",
    "p/b?versionId=3.png",
    "p/b.png",
)
"""Keys of photos; each has grey levels of its own."""

ARCHIVES = ("p//z.zip", "p/z.zip", "/z.zip")
MEMBERS = ("q/a.png", "q//a.png", "/q/a.png")

PINNED = {
    "s3://bucket/a.png": "2365d980a024858c",
    "s3://bucket/p/a.png": "d2723355169498f0",
    "s3://bucket/p/q/a.png": "65dafb624af2241a",
    "s3://bucket/p/z.zip!/q/a.png": "5488be6aa3569901",
}
"""Ids as they were before such keys were read."""


def _zip(first_level: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number, name in enumerate(MEMBERS):
            archive.writestr(name, photo(first_level + 2 * number))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def _server() -> Iterator[str]:
    objects = {key: photo(20 + 2 * number) for number, key in enumerate(LOOSE)}
    objects |= {key: _zip(100 + 20 * number) for number, key in enumerate(ARCHIVES)}
    with serve_keys(objects) as url:
        yield url


@pytest.fixture(autouse=True)
def _bucket(_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {"ACCESS_KEY_ID": "key", "SECRET_ACCESS_KEY": "secret", "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_ENDPOINT_URL", _server)
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


def _levels() -> dict[str, int]:
    """Return the grey level of each photo, by its address."""
    levels = {f"s3://bucket/{key}": 20 + 2 * number for number, key in enumerate(LOOSE)}
    for place, key in enumerate(ARCHIVES):
        levels |= {f"s3://bucket/{key}!/{name}": 100 + 20 * place + 2 * n for n, name in enumerate(MEMBERS)}
    return levels


def _addresses(rows: pa.Table) -> list[str]:
    marks = ["!/" if archive.endswith(".zip") else "/" for archive in rows["archive"].to_pylist()]
    parts = zip(rows["archive"].to_pylist(), marks, rows["image"].to_pylist(), strict=True)
    return ["".join(address) for address in parts]


def test_each_key_is_scored_once_with_its_own_bytes(tmp_path: Path) -> None:
    """Scores are those of its own bytes, ids are hashes of its own address, and the ids of before are the same."""
    score_archives(tmp_path / "out", "s3://bucket")

    rows = pq.read_table(tmp_path / "out" / "images")
    assert rows["status"].unique().to_pylist() == ["ok"]
    addresses = _addresses(rows)
    scores = dict(zip(addresses, rows["crack_score"].to_pylist(), strict=True))
    assert {place: round(score * 255) for place, score in scores.items()} == _levels()
    ids = dict(zip(addresses, rows["image_id"].to_pylist(), strict=True))
    assert len(set(ids.values())) == len(addresses) == len(_levels())
    assert {place: ids[place] for place in PINNED} == PINNED
    assert ids == {place: hashlib.sha256(f"{place}\0".encode() + b"0").hexdigest()[:16] for place in ids}
    checked = CliRunner().invoke(main, ["verify", str(tmp_path / "out")])
    assert checked.exit_code == 0, checked.output


@pytest.mark.parametrize("place", ["s3://bucket//a.png", "s3://bucket/p//a.png", "s3://bucket/p//q//a.png"])
def test_a_single_photo_is_the_one_of_the_folder(place: str, tmp_path: Path) -> None:
    """It has the same id, and beside its folder it is no second photo."""
    out = Layout(f"file://{tmp_path}/out")

    single = make_listed_plan([place], out).members
    beside = make_listed_plan(["s3://bucket", place], out).members

    assert _addresses(single) == [place]
    assert single["image_id"][0] in beside["image_id"]
    assert sorted(_addresses(beside)) == sorted(_levels())


def test_a_glob_finds_such_keys() -> None:
    """An empty part is matched by an empty part, and by `**`."""
    assert storage.glob("s3://bucket/p//*.png") == ["s3://bucket/p//a.png"]
    assert storage.glob("s3://bucket//*.png") == ["s3://bucket//a.png"]
    assert storage.glob("s3://bucket/**/*.png") == sorted(f"s3://bucket/{key}" for key in LOOSE)
    assert storage.glob("s3://bucket/**/q") == ["s3://bucket/p//q", "s3://bucket/p/q"]
    with pytest.raises(StorageError, match=r"could not be searched: the pattern cannot be understood: .*'\*\*'"):
        storage.glob("s3://bucket/p**/a.png")


@given(st.text("a/", min_size=1).filter(lambda key: not key.endswith("/")))
def test_join_undoes_parent_and_name(key: str) -> None:
    """This holds for any key; a folder never ends in a slash."""
    url = f"s3://bucket/{key}"
    assert storage.join(storage.parent(url), storage.name(url)) == url == storage.canonical(url)
    assert not storage.parent(url).endswith("/")
