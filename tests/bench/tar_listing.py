"""Time to list a plain tar of 100,000 photos of 1.5 MB on a store that takes 30 ms an answer: nobody has to have it.

Run as `python -m tests.bench.tar_listing`. Photos are made up when they are asked for: in this process (`memory`),
which measures the listing itself, or by a server on loopback (`http` and `s3`), which measures the client of the store,
too. Over `http` everything is read twice; `s3` is read once, as with https. A listing that is not exactly what was made
up is an error.
"""

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import re
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from multiprocessing.connection import Connection
from typing import NamedTuple

from pipeline.archives.tar_ahead import Spread, choose_spread
from pipeline.archives.tar_headers import BLOCK_BYTES
from pipeline.archives.tar_reader import TarReader
from pipeline.storage.byte_ranges import ByteRange, FileRangeReader, RangeReader

FILLER = b"\xa5" * (1 << 20)
BUCKET = "photos"


class MadeUpTar(NamedTuple):
    """A plain tar of photos of one size."""

    members: int
    member_bytes: int

    @property
    def stride_bytes(self) -> int:
        """From one header to the next."""
        return BLOCK_BYTES + -(-self.member_bytes // BLOCK_BYTES) * BLOCK_BYTES

    @property
    def size_bytes(self) -> int:
        """With the zeros at its end."""
        return self.members * self.stride_bytes + 2 * BLOCK_BYTES

    def read(self, start: int, end: int) -> bytes:
        """Make the bytes [start, end)."""
        pieces, at = [], start
        while at < min(end, self.size_bytes):
            number, offset = divmod(at, self.stride_bytes)
            if number >= self.members:
                piece = bytes(self.size_bytes - at)
            elif offset < BLOCK_BYTES:
                piece = make_header(number, self.member_bytes)[offset:]
            else:
                piece = FILLER[: min(self.stride_bytes - offset, end - at)]
            pieces.append(piece[: end - at])
            at += len(pieces[-1])
        return b"".join(pieces)


class OnceReader(FileRangeReader):
    """A file that is read once, as over https, whatever its URL says."""

    is_protected = True


class SlowReader:
    """A made-up tar in this process, each answer after a while."""

    name = "made-up.tar"
    is_protected = True
    is_concurrent = True

    def __init__(self, tar: MadeUpTar, answer_s: float) -> None:
        self._tar, self._answer_s = tar, answer_s
        self.size_bytes = tar.size_bytes
        self.requests = 0
        self._lock = threading.Lock()

    def read(self, ranges: Sequence[ByteRange]) -> list[bytes]:
        """Wait, and make the bytes."""
        with self._lock:
            self.requests += len(ranges)
        time.sleep(self._answer_s)
        return [self._tar.read(start, end) for start, end in ranges]


@lru_cache(1 << 12)
def make_header(number: int, size_bytes: int) -> bytes:
    """Make the header of a photo."""
    header = tarfile.TarInfo(f"bridge 7/span {number // 500:04d}/IMG_{number:07d}.JPG")
    header.size = size_bytes
    return header.tobuf(tarfile.GNU_FORMAT)


def main() -> None:
    """Measure, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=100_000)
    parser.add_argument("--member-bytes", type=int, default=1_500_000)
    parser.add_argument("--answer-ms", type=float, default=30)
    parser.add_argument("--threads", type=int, help="1 reads one header after another")
    parser.add_argument("--over", nargs="+", choices=["memory", "http", "s3"], default=["memory", "http", "s3"])
    arguments = parser.parse_args()
    tar, answer_s = MadeUpTar(arguments.members, arguments.member_bytes), arguments.answer_ms / 1000
    size = f"{tar.members:,} photos of {tar.member_bytes:,} bytes, {tar.size_bytes / 1e9:,.1f} GB"
    print(f"{size}, {answer_s:.3f} s an answer")
    for over in arguments.over:
        if over == "memory":
            source = SlowReader(tar, answer_s)
            report(over, tar, source, arguments.threads)
            print(f"        {source.requests:,} requests")
        else:
            with run_server(tar, answer_s) as port:
                open_file = OnceReader if over == "s3" else FileRangeReader
                report(over, tar, open_file(find_url(over, port), tar.size_bytes), arguments.threads)


def report(over: str, tar: MadeUpTar, source: RangeReader, threads: int | None) -> None:
    """List the tar once, and print the times."""
    spread = choose_spread(source)
    if spread and threads:
        spread = spread._replace(threads=threads)
    began_at, cpu_at, first_s = time.monotonic(), time.process_time(), 0.0
    expected = 0
    for number, entry in enumerate(TarReader(source, spread or Spread(1 << 30, threads=1)).entries()):
        first_s = first_s or time.monotonic() - began_at
        if entry.position != number * tar.stride_bytes + BLOCK_BYTES or not entry.path.endswith(f"{number:07d}.JPG"):
            sys.exit(f"number {number} was listed as {entry}")
        expected = number + 1
    if expected != tar.members:
        sys.exit(f"{expected} were listed")
    wall_s, cpu_s = time.monotonic() - began_at, time.process_time() - cpu_at
    print(
        f"{over:7} {wall_s:8.1f} s, the first after {first_s:.2f} s; {cpu_s:.1f} s of CPU in this process", flush=True
    )


def find_url(over: str, port: int) -> str:
    """Return the URL of the tar, and tell the client of S3 where its server is."""
    if over == "http":
        return f"http://127.0.0.1:{port}/made-up.tar"
    os.environ.update(
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",  # noqa: S106 - of nobody
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
        AWS_EC2_METADATA_DISABLED="true",
    )
    return f"s3://{BUCKET}/made-up.tar"


@contextlib.contextmanager
def run_server(tar: MadeUpTar, answer_s: float) -> Iterator[int]:
    """Serve the tar on loopback from another process, and yield the port."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(tar, answer_s, theirs), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


def serve(tar: MadeUpTar, answer_s: float, pipe: "Connection[int, int]") -> None:
    """Answer requests for ranges until the process ends; tell the port through a pipe."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(answer_s)
                if request.startswith(b"HEAD"):
                    head = b'HTTP/1.1 200 OK\r\nETag: "made-up"\r\nAccept-Ranges: bytes\r\nContent-Length: %d\r\n\r\n'
                    writer.write(head % tar.size_bytes)
                    continue
                wanted = re.search(rb"[Rr]ange: bytes=(\d+)-(\d+)", request)
                start, end = (int(wanted[1]), int(wanted[2]) + 1) if wanted else (0, 1)
                body = tar.read(start, end)
                writer.write(
                    b'HTTP/1.1 206 Partial Content\r\nETag: "made-up"\r\nAccept-Ranges: bytes\r\n'
                    b"Content-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"
                    % (len(body), start, start + len(body) - 1, tar.size_bytes)
                )
                writer.write(body)
                await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
