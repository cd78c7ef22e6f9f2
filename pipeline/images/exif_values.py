"""Values of EXIF tags and XMP properties, of whatever type their writer chose, as text and as numbers.

What a number means, and which are credible, is up to `gps`, `capture_time` and `exif`.
"""

import math
import unicodedata

_INVISIBLE = {"Cc", "Cf", "Cs"}
"""Unicode's categories of controls, of marks for the direction and joining of text, and of lone surrogates."""

_MAX_CHARACTERS = 2_000
"""EXIF may hold megabytes of text; dates and names are short."""


def parse_text(value: object) -> str | None:
    """Return a text up to its first NUL, in one line, without what cannot be seen; None for blanks and other values.

    Bytes that are UTF-8 are UTF-8 (EXIF 3.0, and most phones before it), other bytes are Latin-1.
    """
    if isinstance(value, tuple) and len(value) == 1:
        return parse_text(value[0])
    text = _decode(value)[:_MAX_CHARACTERS]
    visible = (letter for letter in text if letter.isspace() or unicodedata.category(letter) not in _INVISIBLE)
    return " ".join("".join(visible).split()) or None


def parse_number(value: object) -> float | None:
    """Return a finite number, also one written as text ("8.8", "88/10"); None for other values."""
    if isinstance(value, tuple) and len(value) == 1:
        return parse_number(value[0])
    try:
        if isinstance(value, (str, bytes)):
            numerator, _, denominator = (parse_text(value) or "").partition("/")
            number = float(numerator) / float(denominator or 1)
        else:
            number = float(value)  # type: ignore[arg-type]  # EXIF holds anything
    except (TypeError, ValueError, ArithmeticError):
        return None
    return number if math.isfinite(number) else None


def _decode(value: object) -> str:
    """Decode a text up to its first NUL, also one that Pillow has decoded as Latin-1, as it does with ASCII."""
    if isinstance(value, str):
        text = value.split("\0", 1)[0]
        try:
            return _decode(text.encode("latin-1"))
        except UnicodeEncodeError:
            return text
    data = value.split(b"\0", 1)[0] if isinstance(value, bytes) else b""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")
