"""Why photos of two inspections have no match, in words, and what to do about it."""

from pipeline.core.counts import count_of
from pipeline.core.errors import UsageError
from pipeline.reports.photo_matching import Matched, Rule


def explain(rule: Rule, a: Matched, b: Matched) -> list[str]:
    """Say why photos have no match; nothing if most have one and none is unclear.

    Raises:
        UsageError: the rule goes by positions, and all photos of a side lack one.
    """
    return _explain_places(rule, a, b) if rule.by == "place" else _explain_names(a, b)


def _explain_places(rule: Rule, a: Matched, b: Matched) -> list[str]:
    lacking = [
        f"{count_of(side.photos, 'photo')} in {name}" for name, side in (("A", a), ("B", b)) if not _placed(side)
    ]
    if lacking:
        raise UsageError(
            f"No position in the EXIF or XMP of the {' and of the '.join(lacking)}, so --by place can match nothing. "
            "Leave it out to match by name."
        )
    hints = []
    if a.unplaced or b.unplaced:
        hints.append(
            f"No position: {a.unplaced:,} of {count_of(a.photos, 'photo')} in A, {b.unplaced:,} of {b.photos:,} in B. "
            "They cannot be matched by place; without --by place, photos match by name."
        )
    if a.alone == a.photos:
        hints.append(
            f"No photo in B is within {rule.within_m:g} m of one in A. Give a larger --within, or leave out --by place."
        )
    return hints


def _explain_names(a: Matched, b: Matched) -> list[str]:
    hints = []
    pairs = a.photos - a.alone
    if 2 * pairs < min(a.photos, b.photos):
        found = f"Only {count_of(pairs, 'photo')} in A" if pairs else "No photo in A"
        hints.append(
            f"{found} could be matched with one in B by the end of its path; A has {a.example}, B has {b.example}. "
            "Check that both show the same structure; photos with positions can be matched with --by place."
        )
    if a.unclear or b.unclear:
        hints.append(
            f"Paths of several photos end alike, so {a.unclear:,} in A and {b.unclear:,} in B are unclear. Score "
            "folders or archives whose names tell them apart, or try --by place."
        )
    return hints


def _placed(side: Matched) -> int:
    return side.photos - side.unplaced
