"""`crackscan elements`: tell which part of which structure the photos show."""

from collections.abc import Sequence

import click

from pipeline.cli.messages import echo
from pipeline.core.counts import count_of

LISTED = 5
"""Photos and rules that are named."""


@click.command("elements")
@click.argument("out", metavar="OUT")
@click.argument("rules", metavar="[RULES]", required=False)
@click.option("--remove", is_flag=True, help="Forget which elements the photos show.")
def command(out: str, rules: str | None, remove: bool) -> None:
    """Tell which structure, span, element and face the photos of the dataset OUT show.

    RULES is a CSV or Parquet, or the URL of one, with a row for each part. Its column image has a name, or a glob of
    the photo's path or of its archive and path, such as pier-7/*.JPG or */night.zip/*; its column polygon has an area
    on the map, as WKT in longitude and latitude (WGS 84). A row may have one or both; the first row that fits a photo
    counts. The columns structure, span, element and face say what the photo shows, and so do all others of your own.

    It keeps them in OUT/elements.parquet: the views `elements` and `findings` of query show them, report and compare
    group by them, and exports of cracks have them. Each call replaces the one before. Photos that are scored later
    have none until the next call.

    \b
    Examples:
      crackscan elements scores elements.csv
      crackscan elements s3://results/tonight elements.csv
      crackscan elements scores --remove
    """  # noqa: D301 - \b is Click's mark for "do not rewrap"
    from pipeline.findings.element_rules import read_element_rules
    from pipeline.findings.elements import remove_elements, set_elements

    if (rules is not None) + remove != 1:
        raise click.UsageError("Give one of RULES and --remove.")
    if rules is None:
        told = remove_elements(out)
        echo(f"Photos of {out} have no elements{' any more' if told else '; none had been given'}.")
        return
    filed = set_elements(out, read_element_rules(rules))
    echo(f"{count_of(filed.photos, 'photo')} of {out} in {count_of(filed.elements, 'element')}.")
    if filed.unmatched:
        verb = count_of(len(filed.unmatched), "photo fits", "photos fit")
        places = f" {filed.unplaced:,} of them have no position, so no polygon has them." if filed.unplaced else ""
        echo(f"{verb} no rule: {_list_first(filed.unmatched)}.{places}", err=True)
    if filed.idle:
        verb = count_of(len(filed.idle), "rule counts", "rules count")
        named = [f"{rule.where.partition(' of ')[0]} ({rule.name})" for rule in filed.idle]
        echo(f"{verb} for no photo: {_list_first(named)}. No photo fits, or an earlier row has it.", err=True)


def _list_first(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
