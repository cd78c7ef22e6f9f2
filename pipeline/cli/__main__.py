"""`python -m pipeline.cli` is `crackscan`."""

from pipeline.cli import main

main(prog_name="crackscan")
