"""DATA that is a dataset with verdicts: its labelled tiles are cut into a folder, which takes its place."""

from collections.abc import Iterable

from pipeline.cli.messages import echo
from pipeline.cli.progress import progress
from pipeline.core.counts import count_of

MOST_REASONS = 3


def resolve_datasets(places: Iterable[str]) -> tuple[str, ...]:
    """Replace each place that is a dataset by the folder of the tiles that its verdicts label; say what was cut.

    Args:
        places: as the user gave them.

    Raises:
        UsageError: the verdicts of a dataset label no tile, or it has none.
        CrackscanError: none of its tiles could be cut.
    """
    from pipeline import storage
    from pipeline.core.secrets import refuse_credentials
    from pipeline.dataset.layout import Layout

    given = tuple(places)
    refuse_credentials(("The data", place) for place in given)
    are_datasets = [storage.exists(Layout(storage.canonical(place)).run) for place in given]
    return tuple(
        _cut_labels(place) if is_dataset else place for place, is_dataset in zip(given, are_datasets, strict=True)
    )


def _cut_labels(place: str) -> str:
    from pipeline.findings.labels import write_labels
    from pipeline.reports.source_photos import read_source_photos

    with progress("tiles") as show:
        made = write_labels(place, read_source_photos, show)
    echo(f"The verdicts of {place} label {made.cracked:,} tiles cracked and {made.sound:,} sound.")
    for reason, tiles in made.unreachable.most_common(MOST_REASONS):
        words = ("tile could not be cut out of its photo", "tiles could not be cut out of their photos")
        echo(f"{count_of(tiles, *words)}: {reason}", err=True)
    return made.url
