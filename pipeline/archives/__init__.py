"""Zip, tar and folders of photos: listed once, then read by byte ranges, and never extracted to disk.

Imports `core`, `storage`, `images` and `rasters`. Start with `readers`, which chooses the reader of an archive.

A new archive format is a `SeekableReader`, see `members`, in a module of its own. Add its ending to
`SEEKABLE_SUFFIXES` in `members` and to `SEEKABLE` in `readers`. A member need not be a file: a window of a raster is
an `Entry`, too, whose `position` tells its reader where the window is. Plan, resume and verify need no change, since
they know entries alone. A compression of tars is one line in `compressed_tar` and its endings in `STREAM_SUFFIXES`.

* `readers`: chooses the reader of an archive, lists archives and folders, reads their photos
* `members`: an archive's entries, limits and reader protocol, common to all formats
* `listing`: the photos of an archive as rows of a plan
* `rasters`: tells which TIFFs are read by windows, and lists and reads these
* `early`: hands on the first photos of an archive while the rest is still being listed
* `streaming`: reads an archive from front to back, and lists it on the way
* `zip_reader`: reads the members of a zip by byte ranges
* `zip_directory`: finds and parses the central directory of a zip
* `zip_names`: decodes the names of zip members
* `zip_salvage`: finds the members of a zip that has lost its directory
* `tar_reader`: lists a plain tar and reads its files by byte ranges
* `tar_ahead`: reads the headers of a large remote tar in many places at once
* `tar_headers`: parses the headers of a tar: ustar, GNU and PAX
* `compressed_tar`: reads a tar in gzip, bzip2, xz or zstd in one pass
* `foreign`: tells what an archive is that cannot be opened, and what to do about it
"""
