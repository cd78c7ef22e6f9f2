"""Failures that several decoders share, in the same words."""

from pipeline.core.errors import DataError


def refuse_kind(kind: str) -> DataError:
    """Return the failure of a photo of a kind that is not decoded, such as `a JPEG of 12 bits a sample`."""
    found = f"The photo is {kind}, which is not decoded. Convert it to JPEG, PNG or TIFF."
    return DataError("decode", "unsupported_format", found)


def refuse_size(found: str, max_pixels: int) -> DataError:
    """Return the failure of a photo that is too large."""
    message = f"The photo is {found}; at most {max_pixels:,} are decoded. Raise --max-pixels to score it."
    return DataError("decode", "too_many_pixels", message)


def describe_size(height_px: int, width_px: int) -> str:
    """Write a size as `refuse_size` takes it."""
    return f"{width_px} x {height_px} = {height_px * width_px:,} pixels"
