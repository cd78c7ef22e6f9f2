"""The board of a training run: what was noted last, without torch."""

import subprocess
import sys

from pipeline.training.progress import ProgressActor


def test_the_board_shows_what_was_noted_last() -> None:
    """Before anything is noted there is neither step nor epoch."""
    board = ProgressActor()
    assert board.read() == (None, [])
    board.write_step(0, 1, 4)
    board.write_step(0, 3, 4)
    assert board.read() == ((0, 3, 4), [])


def test_its_process_loads_no_torch() -> None:
    """It starts beside the workers, which need the time and the memory."""
    code = "import sys, pipeline.training.progress; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
