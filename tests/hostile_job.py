"""`crackscan score` as it is, but for the engine: a tile's score is its mean brightness."""

from functools import partial

from brightness import make_brightness

from pipeline.cli import main
from pipeline.scoring import flow

if __name__ == "__main__":
    flow.score = partial(flow.score, make_engine=make_brightness)
    main(prog_name="crackscan")
