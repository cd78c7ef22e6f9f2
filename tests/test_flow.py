"""The flow's own decisions; runs of the whole of it are in `test_cli_score` and `test_kills`."""

import pytest

from pipeline import flow
from pipeline.config import ScoreConfig
from pipeline.errors import CrackscanError
from pipeline.progress import Progress


def test_too_many_failures_stop_the_run() -> None:
    """When more than the allowed share failed, and enough were tried, the run ends with the figures."""
    config = ScoreConfig(("x",), "y", max_failures=0.5, max_failures_after=10)
    flow._stop_if_most_fail(Progress(100, scored=4, failed=5), config)
    flow._stop_if_most_fail(Progress(100, scored=5, failed=5), config)
    with pytest.raises(CrackscanError, match="6 of the first 10 photos failed"):
        flow._stop_if_most_fail(Progress(100, scored=4, failed=6), config)
