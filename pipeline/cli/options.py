"""Options that several commands share, declared once."""

import click

address_option = click.option(
    "--address",
    metavar="ADDRESS",
    help="Running Ray cluster, seen from one of its machines: auto, or HOST:PORT.  [default: a private Ray]",
)

cpus_option = click.option(
    "--cpus",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPUs that the private Ray may use.  [default: all of this machine]",
)

verbose_option = click.option("-v", "--verbose", is_flag=True, help="Show Ray's own log lines and progress bars.")

model_option = click.option(
    "--model",
    metavar="MODEL",
    help="Model folder or URL, made by `crackscan train`.  [default: the shipped model]",
)
