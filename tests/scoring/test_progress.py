"""How far a run is, and when it stops."""

import pyarrow as pa
import pytest

from pipeline.core.errors import CrackscanError
from pipeline.scoring.progress import Progress


def test_too_many_failures_stop_the_run() -> None:
    """Once enough photos were tried and more than the allowed share failed, the run ends and says how many."""
    Progress(100, scored=4, failures={"empty_file": 5}).check_failures(0.5, after=10)
    Progress(100, scored=5, failures={"empty_file": 5}).check_failures(0.5, after=10)
    with pytest.raises(CrackscanError) as caught:
        Progress(100, scored=4, failures={"empty_file": 2, "vanished": 4}).check_failures(0.5, after=10)
    assert str(caught.value) == (
        "6 of the first 10 photos failed (4 x vanished, 2 x empty_file), more than the share of 0.5 that "
        "--max-failures allows. In the dataset, the view `failures` says why each did. Mend the cause and run the same "
        "command again, or give a greater share."
    )


def test_photos_that_are_never_decoded_do_not_stop_a_run() -> None:
    """A hundred RAW files beside their JPEGs say nothing of the run; damaged photos among the JPEGs do."""
    kinds = ["unsupported_format"] * 60 + ["archive_unreadable"] * 40 + ["truncated_image"] * 5 + [None] * 5
    table = pa.table({
        "status": ["ok" if kind is None else "failed" for kind in kinds],
        "failure_kind": pa.array(kinds, pa.string()),
        "tiles": pa.array([1] * len(kinds), pa.int32()),
    })  # fmt: skip

    progress = Progress(200).with_photos(table)

    assert (progress.failed, progress.scored) == (105, 5)
    progress.check_failures(0.5, after=10)
    with pytest.raises(CrackscanError) as caught:
        progress.check_failures(0.4, after=10)
    assert str(caught.value).startswith(
        "5 of the first 10 photos failed (5 x truncated_image), more than the share of 0.4 that --max-failures allows. "
        "Not counted, as they say nothing of the run: 60 x unsupported_format, 40 x archive_unreadable. In the "
    )
