"""`crackscan score` as it is, but for the engine: a tile's score is its mean brightness."""

from functools import partial

from brightness import make_brightness

from pipeline import flow
from pipeline.cli import main

if __name__ == "__main__":
    flow.score = partial(flow.score, make_engine=make_brightness)
    main(prog_name="crackscan")
