"""TIFFs of every form, written from scratch: Pillow writes few, and a test of its reader needs the others."""

import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR = 0, 1, 2, 3, 5, 6
UNSIGNED, SIGNED, FLOAT = 1, 2, 3

Samples = NDArray[np.float64]
"""Shape (H, W, samples), from 0 to 1."""


@dataclass(frozen=True)
class Form:
    """How a TIFF holds its pixels."""

    photometric: int = RGB
    bits: int = 8
    sample_format: int = UNSIGNED
    planar: bool = False
    """Whether each sample has a plane of its own."""
    order: Literal["<", ">"] = "<"
    big: bool = False
    """BigTIFF."""
    deflated: bool = False
    rows_per_strip: int = 5
    more: tuple[tuple[int, int, tuple[int, ...]], ...] = ()
    """Further tags: number, type (1 = bytes, 2 = text, 3 = 16-bit, 4 = 32-bit), values."""

    @property
    def samples(self) -> int:
        """Number of samples a pixel."""
        return {RGB: 3, CMYK: 4, YCBCR: 3, 8: 3, 9: 3, 10: 3}.get(self.photometric, 1)


def make_tiff_of(grey: NDArray[np.uint8], form: Form) -> bytes:
    """Write a grey picture, shape (H, W), as a TIFF of this form."""
    samples = _to_samples(grey, form)
    planes = np.moveaxis(samples, 2, 0)[..., None] if form.planar else samples[None]
    strips = [
        _pack(plane[top : top + form.rows_per_strip], form)
        for plane in planes
        for top in range(0, len(grey), form.rows_per_strip)
    ]
    if form.deflated:
        strips = [zlib.compress(strip) for strip in strips]
    return _join(strips, _tags(grey, form), form)


def _to_samples(grey: NDArray[np.uint8], form: Form) -> Samples:
    level = grey[..., None] / 255.0
    match form.photometric:
        case 0:
            return 1 - level
        case 3:
            return level * 255 / (2**form.bits - 1) if form.bits == 8 else level
        case 5:
            return np.concatenate([1 - level] * 3 + [np.zeros_like(level)], axis=2)
        case 6:
            return np.concatenate([level, np.full_like(level, 128 / 255), np.full_like(level, 128 / 255)], axis=2)
    return np.repeat(level, form.samples, axis=2)


def _pack(part: Samples, form: Form) -> bytes:
    """Pack a strip: rows begin at whole bytes."""
    if form.sample_format == FLOAT:
        return part.astype(f"{form.order}f{form.bits // 8}").tobytes()
    white = 2.0**form.bits - 1
    levels = np.round(part * white - (2.0 ** (form.bits - 1) if form.sample_format == SIGNED else 0))
    if form.bits in {8, 16, 32, 64}:
        low, high = (
            (-(2.0 ** (form.bits - 1)), 2.0 ** (form.bits - 1) - 1) if form.sample_format == SIGNED else (0, white)
        )
        kind = "i" if form.sample_format == SIGNED else "u"
        safe = np.clip(levels, low, high if form.bits < 64 else high * 0.999)
        return safe.astype(f"{form.order}{kind}{form.bits // 8}").tobytes()
    rows = (levels.astype(np.int64) & ((1 << form.bits) - 1)).reshape(len(part), -1)
    bits = (rows[..., None] >> np.arange(form.bits - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(len(part), -1).astype(np.uint8), axis=1).tobytes()


def _tags(grey: NDArray[np.uint8], form: Form) -> dict[int, tuple[int, tuple[int, ...]]]:
    height_px, width_px = grey.shape
    tags = {
        256: (4, (width_px,)),
        257: (4, (height_px,)),
        258: (3, (form.bits,) * form.samples),
        259: (3, (8 if form.deflated else 1,)),
        262: (3, (form.photometric,)),
        277: (3, (form.samples,)),
        278: (4, (form.rows_per_strip,)),
        284: (3, (2 if form.planar else 1,)),
        339: (3, (form.sample_format,) * form.samples),
    }
    if form.photometric == PALETTE:
        ramp = tuple(round(65535 * index / (2**form.bits - 1)) for index in range(2**form.bits))
        tags[320] = (3, ramp * 3)
    if form.photometric == YCBCR:
        tags[530] = (3, (1, 1))
    return tags | {number: (kind, values) for number, kind, values in form.more}


def _join(strips: list[bytes], tags: dict[int, tuple[int, tuple[int, ...]]], form: Form) -> bytes:
    """Write header, strips, values and directory, in this order."""
    word, entry = ("Q", "HHQ") if form.big else ("I", "HHI")
    mark = b"II" if form.order == "<" else b"MM"
    header_bytes = 16 if form.big else 8
    starts = np.cumsum([header_bytes, *map(len, strips)]).tolist()
    tags = tags | {273: (4, tuple(starts[:-1])), 279: (4, tuple(map(len, strips)))}
    body = b"".join(strips)
    entries = b""
    for number, (kind, values) in sorted(tags.items()):
        data = struct.pack(f"{form.order}{len(values)}{' BBHI'[kind]}", *values)
        inline_bytes = struct.calcsize(f"={word}")
        if len(data) > inline_bytes:
            place = struct.pack(form.order + word, header_bytes + len(body))
            body += data
        else:
            place = data.ljust(inline_bytes, b"\0")
        entries += struct.pack(form.order + entry, number, kind, len(values)) + place
    first = header_bytes + len(body)
    header = (
        struct.pack(form.order + "HHHQ", 43, 8, 0, first) if form.big else struct.pack(form.order + "HI", 42, first)
    )
    count = struct.pack(form.order + ("Q" if form.big else "H"), len(tags))
    return mark + header + body + count + entries + bytes(8)
