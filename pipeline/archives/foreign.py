"""Archives that cannot be opened: what each is, by its name or its first bytes, and what to do about it.

`members` has their endings. The readers of the other archives ask here what a file is that they cannot read.
"""

from typing import NamedTuple

from pipeline import storage
from pipeline.archives.members import COMPRESSED_SUFFIXES, FOREIGN_SUFFIXES, STREAM_SUFFIXES, archive_suffix, whole_of
from pipeline.archives.tar_headers import BLOCK_BYTES, is_header
from pipeline.core.errors import DataError
from pipeline.storage.byte_ranges import RangeReader

UNPACK = "Unpack {}, or pack the photos as zip or tar."


class Form(NamedTuple):
    """What a file is by its first bytes."""

    name: str
    suffixes: tuple[str, ...]
    """Endings under which such a file is read, empty if it never is; the first is proposed."""


_TAR = Form("a plain tar", (".tar", *STREAM_SUFFIXES))
_FORMS = (
    (0, b"PK\3\4", Form("a zip", (".zip",))),
    (0, b"PK\5\6", Form("a zip", (".zip",))),
    (0, b"\x1f\x8b", Form("a gzip file", (".tar.gz", *STREAM_SUFFIXES))),
    (0, b"BZh", Form("a bzip2 file", (".tar.bz2", *STREAM_SUFFIXES))),
    (0, b"\xfd7zXZ\0", Form("an xz file", (".tar.xz", *STREAM_SUFFIXES))),
    (0, b"\x28\xb5\x2f\xfd", Form("a zstd file", (".tar.zst", *STREAM_SUFFIXES))),
    (0, b"7z\xbc\xaf\x27\x1c", Form("a 7z archive", ())),
    (0, b"Rar!\x1a\7", Form("a RAR archive", ())),
    (0, b"\x1f\x9d", Form("a file of compress (.Z)", ())),
    (0, b"\x04\x22\x4d\x18", Form("an LZ4 file", ())),
    (0, b"LZIP", Form("an lzip file", ())),
    (0, b"\x5d\0\0", Form("an LZMA file", ())),
    (0, b"\x89LZO\0", Form("an lzop file", ())),
    (0, b"MSCF\0\0\0\0", Form("a cabinet", ())),
    (0, b"xar!", Form("a xar archive", ())),
    (7, b"**ACE**", Form("an ACE archive", ())),
    (2, b"-lh", Form("an LHA archive", ())),
)
"""Offset and magic number to form; from the specification of each format, as in `file`'s magic numbers."""


def refuse_by_name(path: str) -> DataError | None:
    """Return why an archive cannot be opened, by its name; None if it may be opened."""
    name, whole = storage.name(path), whole_of(path)
    if whole is not None:
        joined, was_cut = storage.name(whole), path.startswith(f"{whole}.")
        advice = f"Join the parts first, as in `cat {joined}.* > {joined}`." if was_cut else UNPACK.format("all parts")
        return _refuse(f"{name} is one part of {joined}. {advice}")
    suffix = archive_suffix(path)
    if suffix in COMPRESSED_SUFFIXES:
        advice = f"Decompress it; a compressed tar is read if it is called {name[: -len(suffix)]}.tar{suffix}."
        return _refuse(f"{name} is a compressed file without an archive in it, by its name. {advice}")
    if suffix not in FOREIGN_SUFFIXES:
        return None
    return _refuse(f"{name} is an archive of a kind that cannot be opened ({suffix}). {UNPACK.format('it')}")


def explain(source: RangeReader, error: Exception) -> Exception:
    """Return a refusal that tells what an archive is in truth, if its name tells otherwise; else the error itself."""
    [start] = source.read([(0, BLOCK_BYTES)])
    form, suffix = find_form(start), archive_suffix(source.name)
    if form is None or suffix is None or suffix in form.suffixes:
        return error
    name = storage.name(source.name)
    if not form.suffixes:
        return _refuse(f"{name} is {form.name}, which cannot be opened. {UNPACK.format('it')}")
    renamed = f"{name[: -len(suffix)]}{form.suffixes[0]}"
    return _refuse(f"{name} is {form.name}, whatever its name says. Rename it to {renamed}.")


def find_form(start: bytes) -> Form | None:
    """Return what a file is by its first block; None for anything but an archive."""
    for offset, magic, form in _FORMS:
        if start.startswith(magic, offset):
            return form
    return _TAR if is_header(start) else None


def _refuse(message: str) -> DataError:
    return DataError("open", "archive_unreadable", message)
