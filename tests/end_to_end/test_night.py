"""A night in the wild: one zip of two hundred odd files on S3, scored, verified, and compared with what must be."""

from collections import Counter

import pytest

from pipeline import storage
from pipeline.dataset.sql import query
from pipeline.dataset.verify import verify
from tests.conftest import Crackscan, S3Place
from tests.helpers.odd_files import NESTED, NESTED_SKIPPED, list_odd_files, pack_night

pytestmark = pytest.mark.ray


def test_a_night_in_the_wild(s3: S3Place, crackscan: Crackscan) -> None:
    """Every file has the one row that it must have, with its facts, or is left out and counted."""
    files, out = list_odd_files(), f"{s3.url}/scores"
    assert len(files) >= 190
    storage.write_whole(f"{s3.url}/night.zip", pack_night(files))

    run = crackscan("score", f"{s3.url}/night.zip", "--out", out)

    assert run.returncode == 3, run.stderr
    assert [check.invariant for check in verify(out, lambda *_: None) if check.broken or check.open] == []
    rows = query(out, "SELECT *, coalesce(failure_kind, status) AS outcome FROM images").to_pylist()
    is_skipped = {file.name: file.outcome.startswith("skipped: ") for file in files}
    expected = {file.name: file.outcome for file in files if file.outcome and not is_skipped[file.name]} | NESTED
    assert {row["image"]: row["outcome"] for row in rows} == expected
    assert len(rows) == len(expected)
    found = {row["image"]: row for row in rows}
    for file in files:
        if file.facts:
            assert dict(file.facts).items() <= found[file.name].items()
    skipped = Counter(file.outcome.removeprefix("skipped: ") for file in files if is_skipped[file.name])
    for kind, count in (skipped + Counter(NESTED_SKIPPED)).items():
        assert f"{count} x {kind}" in run.stdout
