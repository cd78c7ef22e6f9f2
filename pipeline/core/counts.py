"""Numbers with their nouns, for people: `1 photo`, `2 photos`."""


def count_of(number: int, noun: str = "photo", plural: str | None = None) -> str:
    """Write a number with its noun.

    Args:
        number: grouped by thousands.
        noun: for one.
        plural: for any other number, if an `s` behind the noun does not make it.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def none_of(number: int, noun: str = "photo") -> str:
    """Begin a sentence about things of which none is so: `None of the 3 photos`, `Not even the one photo`."""
    return f"Not even the one {noun}" if number == 1 else f"None of the {count_of(number, noun)}"
