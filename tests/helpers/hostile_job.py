"""`crackscan score` as it is, but for the engine: a tile's score is its mean brightness."""

from functools import partial

from pipeline.cli import main
from pipeline.scoring import flow
from tests.helpers.brightness_engine import make_brightness

if __name__ == "__main__":
    flow.score = partial(flow.score, make_engine=make_brightness)
    main(prog_name="crackscan")
