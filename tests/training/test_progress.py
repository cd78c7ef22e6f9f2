"""The progress actor: it returns what was written last, and loads no torch."""

import subprocess
import sys

from pipeline.training.progress import ProgressActor


def test_the_actor_returns_what_was_written_last() -> None:
    """Before the first report there is neither step nor epoch."""
    actor = ProgressActor()
    assert actor.read() == (None, [])
    actor.write_step(0, 1, 4)
    actor.write_step(0, 3, 4)
    assert actor.read() == ((0, 3, 4), [])


def test_its_process_loads_no_torch() -> None:
    """Loading torch would take time and memory from the workers."""
    code = "import sys, pipeline.training.progress; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
