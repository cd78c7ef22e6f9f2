"""Picture formats: which file names are listed as photos, and what bytes are, whatever the file is called.

An ending decides only whether a file is listed; `decode` goes by the bytes alone.
"""

import re

DECODED_SUFFIXES = frozenset({
    "jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "pjpeg", "pjp", "mpo", "jps", "insp", "png", "apng", "tif", "tiff",
    "btf", "tf8", "bmp", "dib", "webp", "gif", "heic", "heif", "hif", "heics", "heifs", "avif", "avifs", "jp2", "j2k",
    "j2c", "jpc", "jpf", "jpx",
})  # fmt: skip
"""Endings of photos that are decoded; `insp` are the JPEGs of a 360° camera."""

RAW_SUFFIXES = frozenset({
    "3fr", "arw", "cr2", "cr3", "crw", "dcr", "dng", "erf", "fff", "gpr", "iiq", "k25", "kdc", "mef", "mos", "mrw",
    "nef", "nrw", "orf", "pef", "ptx", "raf", "raw", "rw2", "rwl", "rwz", "sr2", "srf", "srw", "x3f",
})  # fmt: skip
"""Endings of camera RAW files, which are decoded with the extra `raw`."""

PHOTO_SUFFIXES = DECODED_SUFFIXES | RAW_SUFFIXES | {
    "jxl", "jpm", "jls", "jxr", "wdp", "hdp", "psd", "psb", "xcf", "svg", "svgz", "eps", "tga", "pcx", "ppm", "pgm",
    "pbm", "pnm", "pam", "dds", "exr", "hdr", "sgi", "ras", "bpg", "flif", "qoi", "jng", "mng", "ecw", "sid",
}  # fmt: skip
"""Endings that are listed as photos: every still picture. One that is not decoded becomes a failed row."""

_SIGNATURES = (
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (8, b"WEBP", "WebP"),
    (4, b"jP  \r\n\x87\n", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (8, b"CR\2\0", "Canon CR2 RAW"),
    (4, b"ftypcrx ", "Canon CR3 RAW"),
    (8, b"IIII", "Phase One IIQ RAW"),
    (0, b"II\x1a\0\0\0HEAPCCDR", "Canon CRW RAW"),
    (0, b"FUJIFILMCCD-RAW", "Fujifilm RAF RAW"),
    (0, b"IIRO", "Olympus ORF RAW"),
    (0, b"IIRS", "Olympus ORF RAW"),
    (0, b"MMOR", "Olympus ORF RAW"),
    (0, b"IIU\0", "Panasonic RW2 RAW"),
    (0, b"FOVb", "Sigma X3F RAW"),
    (0, b"\0MRM", "Minolta MRW RAW"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (4, b"JXL \r\n\x87\n", "JPEG XL"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"II\xbc\1", "JPEG XR"),
    (0, b"8BPS", "Photoshop"),
    (0, b"gimp xcf", "GIMP"),
    (0, b"%!PS-Adobe", "PostScript"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript"),
    (0, b"v/1\1", "OpenEXR"),
    (0, b"#?RADIANCE", "Radiance HDR"),
    (0, b"DDS ", "DirectDraw"),
    (0, b"BPG\xfb", "BPG"),
    (0, b"FLIF", "FLIF"),
    (0, b"qoif", "QOI"),
    (0, b"\x8aMNG\r\n\x1a\n", "MNG"),
    (0, b"\x8bJNG\r\n\x1a\n", "JNG"),
    (0, b"\1\xda", "SGI"),
    (0, b"\x59\xa6\x6a\x95", "Sun raster"),
    (0, b"msid", "MrSID"),
    (0, b"\0\0\1\0", "icon"),
    (0, b"IWC\1", "ECW"),
)
"""Offset and bytes by which a format is known; the first that fits counts."""

_BRANDS = {b"avif": "AVIF", b"avis": "AVIF"} | dict.fromkeys(
    (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), "HEIF"
)
"""Brand of an ISO base media file to its format (ISO/IEC 23008-12, annex B; AV1 Image File Format, section 6)."""
_GENERAL_BRANDS = (b"mif1", b"msf1")
"""Brands of HEIF in general, whatever coded the pixels."""

_NETPBM = re.compile(rb"P[1-7]\s+[\d#]|P7\nWIDTH")
_BMP = re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL)
"""The size of the second header is that of a known version."""
_SVG = re.compile(rb"(<\?xml.{0,1000}?)?(<!--.{0,1000}?-->\s*)*(<!DOCTYPE svg.{0,1000}?)?<svg[\s>]", re.DOTALL)


def identify(data: bytes) -> str | None:
    """Name the format of a picture by its first bytes; None for bytes that are no picture of a known format."""
    for offset, signature, name in _SIGNATURES:
        if data.startswith(signature, offset):
            return name
    if data[4:8] == b"ftyp":
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4]), 256), 4))]
        general = "HEIF" if any(brand in _GENERAL_BRANDS for brand in brands) else None
        return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), general)
    if _BMP.match(data):
        return "BMP"
    if _NETPBM.match(data):
        return "Netpbm"
    return "SVG" if _SVG.match(data[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()) else None
