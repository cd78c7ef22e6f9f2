"""Numbers with their nouns, for people: `1 photo`, `2 photos`, `3 are`."""


def count_of(number: int, noun: str = "photo", plural: str | None = None) -> str:
    """Write a number with its noun.

    Args:
        number: grouped by thousands.
        noun: for one.
        plural: for any other number, if an `s` behind the noun does not make it.
    """
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"
