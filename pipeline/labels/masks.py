"""Photos with crack masks as labelled tiles: a folder with `images/` and `masks/`, cut into boxes by rule.

A mask has its photo's name and size, and every pixel over 0 is crack; `mask_files` reads it. The rule, the same for
every source:

* Boxes are squares with each of the `SIDES_PX`, half a side apart, the last ones shifted in to cover the photo.
* Cracked: the crack crosses at least a quarter of the box's rows or of its columns, and some of it is in the middle
  half, both ways. A crack that only touches a corner is hardly visible and no honest example.
* Sound: no crack pixel in the box, nor within `MARGIN_PX` of it.
* Any other box has no honest label and is no tile.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from pipeline import storage
from pipeline.core.counts import count_of, none_of
from pipeline.core.errors import DataError, UsageError
from pipeline.images.decode import Pixels, decode
from pipeline.images.formats import DECODED_SUFFIXES, PHOTO_SUFFIXES
from pipeline.images.tiles import starts
from pipeline.labels.boxes import Box
from pipeline.labels.mask_files import MASK_SUFFIXES, MOST_CRACK, Mask, read_mask

IMAGES = "images"
MASKS = "masks"
FOLDER_LINK = "link to a folder"
SIDES_PX = (112, 160, 224, 320)
"""The network's 224 and, in steps of the square root of two, half of it and the next larger: the network sees cracks at
0.7 to two times their size. In 1,011 photos of some 256 pixels, 206 boxes of 224 are sound, 2,329 of 160, 7,126 of 112.
"""
LEAST_SPAN = 0.25
"""Part of the rows or columns that a crack must cross."""
MARGIN_PX = 8
"""Masks drawn by hand are some pixels off, and the blurred edge of a crack is wider than its mask."""

_NAME_ENDING = re.compile("[_-](?:masks?|labels?|lab|gt|seg)$", re.IGNORECASE)
"""What tools for drawing add to the name of a photo for its mask."""


class MaskedPhoto(NamedTuple):
    """A photo and its crack mask."""

    url: str
    pixels: Pixels
    """Shape (H, W, 3)."""
    crack: Mask
    """Shape (H, W)."""
    mask_url: str


def is_masked(folder: str) -> bool:
    """Tell whether a folder holds photos with masks."""
    return all(storage.is_folder(storage.join(folder, part)) for part in (IMAGES, MASKS))


def read_masked_photos(folder: str) -> Iterator[MaskedPhoto]:
    """Read the photos of a folder with their masks, sorted by name.

    Raises:
        UsageError: a photo or a mask lacks the other, is damaged, or does not fit it; or no mask marks a crack.
    """
    pairs = _list_pairs(folder)
    files = storage.read_many([url for pair in pairs for url in pair])
    marked = False
    # `files` is one iterator, and every turn takes a photo and its mask from it.
    for (photo_url, mask_url), photo_data, mask_data in zip(pairs, files, files, strict=False):
        pixels, crack = _decode(photo_url, photo_data), _read_mask(mask_url, mask_data)
        _check(photo_url, mask_url, pixels, crack)
        marked = marked or bool(crack.any())
        yield MaskedPhoto(photo_url, pixels, crack, mask_url)
    if not marked:
        raise UsageError(
            f"{none_of(len(pairs), 'mask')} in {storage.join(folder, MASKS)} marks a crack; expected "
            "pixels over 0 where a crack is. Give the masks that belong to these photos."
        )


def list_left_out(folder: str) -> dict[str, str]:
    """Return what `read_masked_photos` leaves out: URL to the ending, in lower case, or to `FOLDER_LINK`.

    These are photos of a kind that is not decoded, pictures outside `images` and `masks`, and links to folders, which
    are not followed.
    """
    found = {}
    for file in storage.list_files(folder):
        part, _, path = file.path.partition("/")
        suffix = storage.name(file.path).rpartition(".")[2].lower()
        is_read = {IMAGES: DECODED_SUFFIXES, MASKS: MASK_SUFFIXES}.get(part if path else "", frozenset[str]())
        if storage.is_hidden(file.path) or suffix in is_read:
            continue
        if suffix in PHOTO_SUFFIXES:
            found[file.url] = suffix
        elif storage.is_folder_link(file):
            found[file.url] = FOLDER_LINK
    return found


def label_boxes(crack: Mask) -> Iterator[tuple[Box, bool]]:
    """Yield the boxes that have an honest label, and whether they are cracked, the largest boxes last."""
    for box in _list_boxes(*crack.shape):
        cracked = label_box(crack, box)
        if cracked is not None:
            yield box, cracked


def label_box(crack: Mask, box: Box) -> bool | None:
    """Tell whether a square box is cracked; None for a box without an honest label."""
    top, left, side, _ = box
    inside = crack[top : top + side, left : left + side]
    if inside.any():
        most_crossed = max(int(inside.any(axis=0).sum()), int(inside.any(axis=1).sum()))
        middle = slice(side // 4, side - side // 4)
        visible = most_crossed >= LEAST_SPAN * side and bool(inside[middle, middle].any())
        return True if visible else None
    around = crack[
        max(0, top - MARGIN_PX) : top + side + MARGIN_PX,
        max(0, left - MARGIN_PX) : left + side + MARGIN_PX,
    ]
    return None if around.any() else False


def _list_boxes(height_px: int, width_px: int) -> list[Box]:
    """List the squares of every side that fits, or of the photo's own shorter side if none does."""
    shorter_px = min(height_px, width_px)
    sides = [side for side in SIDES_PX if side <= shorter_px] or [shorter_px]
    return [
        Box(top, left, side, side)
        for side in sides
        for top in starts(height_px, side, max(1, side // 2))
        for left in starts(width_px, side, max(1, side // 2))
    ]


def _list_pairs(folder: str) -> list[tuple[str, str]]:
    """List the URLs of photos and their masks."""
    photo_of = _list_by_stem(storage.join(folder, IMAGES), DECODED_SUFFIXES)
    mask_of = _list_by_stem(storage.join(folder, MASKS), MASK_SUFFIXES, photo_of.keys())
    alone = sorted(photo_of.keys() - mask_of.keys())
    if alone:
        lack = count_of(len(photo_of), "photo has no mask", "photos have no mask")
        raise UsageError(
            f"{len(alone)} of {lack}, the first: {photo_of[alone[0]]}. Expected {MASKS}/{alone[0]}.png in {folder}; "
            f"{_advise(folder, alone[0])}"
        )
    left_over = sorted(mask_of.keys() - photo_of.keys())
    if left_over:
        lack = count_of(len(mask_of), "mask has no photo", "masks have no photo")
        raise UsageError(
            f"{len(left_over)} of {lack}, the first: {mask_of[left_over[0]]}. Expected a photo "
            f"{IMAGES}/{left_over[0]} in {folder}, such as .jpg; add it or remove the mask."
        )
    return [(photo_of[stem], mask_of[stem]) for stem in sorted(photo_of)]


def _advise(folder: str, stem: str) -> str:
    """Say what to do about a photo without a mask: perhaps there is one of a format that is not read."""
    for file in storage.list_files(storage.join(folder, MASKS)):
        bare, _, suffix = unicodedata.normalize("NFC", file.path).rpartition(".")
        is_picture = suffix.lower() in PHOTO_SUFFIXES - MASK_SUFFIXES
        if is_picture and not storage.is_hidden(file.path) and _photo_stem(bare, (stem,)) == stem:
            return f"{file.url} is no mask, since .{suffix} is not read. Save it as PNG."
    return "add it (all 0 where there is no crack) or remove the photo."


def _list_by_stem(folder: str, suffixes: Collection[str], photos: Collection[str] = ()) -> Mapping[str, str]:
    """List the URLs of a folder's pictures by their relative paths without the endings.

    Args:
        folder: URL of `images` or `masks`.
        suffixes: endings of the pictures.
        photos: the stems of the photos if these are masks, which may have more in their names.
    """
    found: dict[str, str] = {}
    for file in storage.list_files(folder):
        # macOS writes letters and their accents apart.
        stem, _, suffix = unicodedata.normalize("NFC", file.path).rpartition(".")
        if storage.is_hidden(file.path) or suffix.lower() not in suffixes:
            continue
        first = found.setdefault(_photo_stem(stem, photos), file.url)
        if first != file.url and photos:
            raise UsageError(f"{first} and {file.url} are masks of the same photo; expected one. Remove the other.")
        if first != file.url:
            raise UsageError(
                f"{first} and {file.url} have the same name, and a mask belongs to one photo. Rename one of them."
            )
    return found


def _photo_stem(stem: str, photos: Collection[str]) -> str:
    """Return the stem of the photo that a mask names: the same, with the photo's ending, or with a word after it."""
    bare = _NAME_ENDING.sub("", stem)
    return next((name for name in (stem, bare, _drop_ending(stem), _drop_ending(bare)) if name in photos), stem)


def _drop_ending(stem: str) -> str:
    name, _, suffix = stem.rpartition(".")
    return name if suffix.lower() in DECODED_SUFFIXES else stem


def _decode(url: str, data: bytes) -> Pixels:
    try:
        return decode(data).pixels
    except DataError as error:
        raise UsageError(f"{url} cannot be read: {error} Repair it, or remove both photo and mask.") from error


def _read_mask(url: str, data: bytes) -> Mask:
    try:
        return read_mask(data)
    except DataError as error:
        raise UsageError(f"{url} cannot be read: {error} Repair it, or remove both photo and mask.") from error


def _check(photo_url: str, mask_url: str, pixels: Pixels, crack: Mask) -> None:
    if pixels.shape[:2] != crack.shape:
        photo, mask = (
            f"{count_of(height, 'pixel')} high and {width} wide" for height, width in (pixels.shape[:2], crack.shape)
        )
        raise UsageError(
            f"The mask {mask_url} is {mask}; its photo {photo_url} is {photo} (upright, as its EXIF says). Expected "
            "the same size; give the mask that was drawn on this photo."
        )
    share = float(crack.mean())
    if share > MOST_CRACK:
        raise UsageError(
            f"The mask {mask_url} marks {share:.0%} of its photo; expected the crack alone, and 0 elsewhere. An "
            "inverted or a transparent mask looks like this: store the crack as white on black."
        )
