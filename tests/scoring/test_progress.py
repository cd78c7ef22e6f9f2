"""How far a run is, and when it stops."""

import pytest

from pipeline.core.errors import CrackscanError
from pipeline.scoring.progress import Progress


def test_too_many_failures_stop_the_run() -> None:
    """Once enough photos were tried and more than the allowed share failed, the run ends and says how many."""
    Progress(100, scored=4, failed=5).check_failures(0.5, after=10)
    Progress(100, scored=5, failed=5).check_failures(0.5, after=10)
    with pytest.raises(CrackscanError, match=r"6 of the first 10 photos failed, more than the share of 0\.5 that"):
        Progress(100, scored=4, failed=6).check_failures(0.5, after=10)
