"""Masks as run lengths, in the spellings of COCO, CVAT and Label Studio.

Run lengths alternate between background and crack, and begin with background. What they add up to must be the size of
the mask, which `entries.size` has bounded, so that a few bytes cannot claim all memory.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.annotations.entries import Entry, Size

Mask = NDArray[np.bool_]
"""Shape (H, W)."""


class RunLengths(NamedTuple):
    """A mask as the lengths of its runs."""

    size: Size
    counts: NDArray[np.int64]
    """Lengths of background, crack, background, …, in pixels."""
    by_columns: bool
    """Whether the runs go down the columns, as in COCO, instead of along the rows."""

    def decode(self) -> Mask:
        """Return the mask. Shape: (height_px, width_px)."""
        flat = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        mask: Mask = flat.reshape(self.size, order="F" if self.by_columns else "C")
        return mask


def encode(mask: Mask, *, by_columns: bool = False) -> RunLengths:
    """Return the run lengths of a mask. Shape: (H, W) →."""
    flat = mask.ravel(order="F" if by_columns else "C")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    edges = np.concatenate([[0] if not flat[0] else [0, 0], changes, [flat.size]])
    return RunLengths(Size(*mask.shape), np.diff(edges).astype(np.int64), by_columns)


def check_counts(values: Sequence[object], size: Size, entry: Entry, *, by_columns: bool) -> RunLengths:
    """Return run lengths that are written as numbers: COCO's uncompressed ones, or CVAT's.

    Raises:
        UsageError: they are no lengths, or do not add up to the mask.
    """
    area = size.height_px * size.width_px
    counts: list[int] = []
    for value in values:
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= area:
            raise entry.error("the run length", value, f"a whole number from 0 to {area:,}, the pixels of the mask")
        counts.append(value)
    if sum(counts) != area:
        raise entry.error("a mask whose runs add up to", sum(counts), f"{area:,} pixels: it is {size}")
    return RunLengths(size, np.array(counts, np.int64), by_columns)


def parse_coco(text: str, size: Size, entry: Entry) -> RunLengths:
    """Return the run lengths that COCO compresses to a text.

    A character from `0` on holds six bits: five of a number, the lowest first, and 32 where more follow; 16 in the last
    is the sign. From the fourth number on, each is the difference from the second before it. Source: `rleFrString` in
    common/maskApi.c of github.com/cocodataset/cocoapi.

    Raises:
        UsageError: it is no such text, or does not add up to the mask.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            raise entry.error("compressed run lengths with", character, "numbers of at most 35 bits in 0 … o")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    if shift:
        raise entry.error("compressed run lengths that end with", text[-5:], "a whole number at the end")
    return check_counts(counts, size, entry, by_columns=True)


def parse_label_studio(values: Sequence[object], size: Size, entry: Entry) -> RunLengths:
    """Return the run lengths of a mask that was painted in Label Studio: the pixels with any opacity.

    The bytes are bits, the highest first: 32 for the number of values, 5 for the bits of a value less 1, four times 4
    for the bits of a length less 1. Then blocks: 1 bit says whether one value fills the block or each has its own, 2
    bits choose the length's bits, then the length less 1 and the values. The values are red, green, blue and opacity of
    each pixel, row by row. Source: `decode_rle` in label_studio_converter/brush.py of
    github.com/HumanSignal/label-studio-converter, after @thi.ng/rle-pack.

    Raises:
        UsageError: the bits end early, or are of another number of pixels.
    """
    bits = _Bits(values, entry)
    area = size.height_px * size.width_px
    count, value_bits = bits.read(32), bits.read(5) + 1
    length_bits = [bits.read(4) + 1 for _ in range(4)]
    if count != 4 * area:
        raise entry.error("a painted mask of", count, f"{4 * area:,} values, four a pixel: it is {size}")
    opaque = np.zeros(area, np.bool_)
    start = 0
    while start < count:
        filled = bits.read(1)
        end = min(start + 1 + bits.read(length_bits[bits.read(2)]), count)
        first, last = start // 4, end // 4  # pixels whose opacity, their last value, is in the block
        if filled:
            opaque[first:last] = bits.read(value_bits) > 0
        else:
            opaque[first:last] = bits.read_all(end - start, value_bits)[3 - start % 4 :: 4]
        start = end
    return encode(opaque.reshape(size))


class _Bits:
    """A stream of bits, the highest of each byte first."""

    def __init__(self, values: Sequence[object], entry: Entry) -> None:
        self._entry = entry
        if not all(isinstance(value, int) and 0 <= value < 256 for value in values):
            raise entry.error("the painted mask", values, "bytes from 0 to 255")
        self._bytes = bytes(value for value in values if isinstance(value, int))
        self._position = 0

    def read(self, bits: int) -> int:
        """Read a number of at most 32 bits."""
        start, end = self._advance(bits)
        window = int.from_bytes(self._bytes[start // 8 : (end + 7) // 8], "big")
        return window >> -end % 8 & (1 << bits) - 1

    def read_all(self, count: int, bits: int) -> Mask:
        """Read several numbers, and tell which are over 0. Shape: → (count,)."""
        start, end = self._advance(count * bits)
        window = np.frombuffer(self._bytes[start // 8 : (end + 7) // 8], np.uint8)
        values = np.unpackbits(window)[start % 8 :][: count * bits].reshape(count, bits)
        return np.asarray(values.any(axis=1))

    def _advance(self, bits: int) -> tuple[int, int]:
        start, self._position = self._position, self._position + bits
        if self._position > 8 * len(self._bytes):
            raise self._entry.error("a painted mask of the bytes", len(self._bytes), "more: its last block is cut off")
        return start, self._position
