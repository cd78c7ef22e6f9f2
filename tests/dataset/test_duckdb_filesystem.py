"""A dataset on S3, read by DuckDB: the same answers as on local disk, despite faults."""

from pathlib import Path

import pytest

from pipeline.core.errors import StorageError
from pipeline.dataset.compact import compact
from pipeline.dataset.diff import differences
from pipeline.dataset.layout import Layout
from pipeline.dataset.sql import query
from pipeline.dataset.verify import verify
from pipeline.monitoring.status import status
from tests.conftest import S3Place
from tests.helpers.fault_proxy import Fault, Rule
from tests.helpers.small_dataset import write_dataset

pytestmark = pytest.mark.ray

SUMS = "SELECT count(*), sum(tiles.crack_score), sum(left_px) FROM tiles JOIN images USING (image_id)"


def broken_invariants(layout: Layout) -> list[str]:
    """Invariants that are broken or open."""
    return [
        check.invariant for check in verify(layout.url, lambda _done, _total: None) if check.broken != 0 or check.open
    ]


def test_a_dataset_on_s3_is_compacted_and_verified(s3: S3Place, tmp_path: Path) -> None:
    """Status, verify and compact work on S3 as on local disk; both compare equal."""
    local, remote = write_dataset(str(tmp_path / "local")), write_dataset(f"{s3.url}/remote")
    assert status(remote.url).done == 5
    assert broken_invariants(remote) == []
    new = Layout(f"{s3.url}/new")
    assert compact(remote.url, new.url, 36, lambda _done, _total: None).parts == 2
    assert broken_invariants(new) == []
    assert differences(new.url, local.url) == []


@pytest.mark.parametrize("fault", ["slow_down", "reset", "break", "cut", "lose"])
def test_a_fault_changes_no_answer(fault: Fault, faulty_s3: S3Place) -> None:
    """Refused, broken, short and lost answers are requested again, and each file is read once."""
    layout = write_dataset(f"{faulty_s3.url}/out")
    expected = query(layout.url, SUMS).to_pylist()
    faulty_s3.seen.clear()
    faulty_s3.rules.append(Rule(fault, "GET", r"\.parquet", count=2))
    assert query(layout.url, SUMS).to_pylist() == expected
    assert faulty_s3.rules[0].met == 2
    complete = [target for method, target, made in faulty_s3.seen if target.endswith(".parquet") and made is None]
    assert len(complete) == len({*complete}) == 8


def test_a_missing_file_of_a_query_is_an_error(s3: S3Place) -> None:
    """Files that the query itself names are read through the same store; the message is that of `storage`."""
    layout = write_dataset(f"{s3.url}/out")
    with pytest.raises(StorageError) as refused:
        query(layout.url, f"SELECT * FROM read_parquet('{s3.url}/nowhere.parquet')")
    assert str(refused.value) == f"{s3.url}/nowhere.parquet could not be looked up: it was not found."
