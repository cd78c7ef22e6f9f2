"""`crackscan`, but `score` takes the brightness engine."""

from functools import partial

from pipeline.cli import main
from pipeline.scoring import flow
from tests.helpers.brightness_engine import make_brightness

if __name__ == "__main__":
    flow.score = partial(flow.score, make_engine=make_brightness)
    main(prog_name="crackscan")
