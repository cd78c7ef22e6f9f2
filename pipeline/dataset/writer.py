"""The one writer of a dataset, which commits whole photos, a few hundred at a time.

Commit n writes the files of tiles, of cracks and of failed photos, those that have rows, and then creates
`images/part-<n>` only if it is absent. A writer that finds that file has lost the dataset to another writer, and stops.
So a writer that is killed, stopped or late leaves nothing that a reader would see twice.
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import DatasetError, LostPlaceError, NotFoundError
from pipeline.core.log import get_logger
from pipeline.dataset.commit_log import CommitLog, file_metadata, read_log, read_table, table_bytes
from pipeline.dataset.crack_map_files import write_maps
from pipeline.dataset.forgetting import finish_forgetting, note_forgotten
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Lease
from pipeline.dataset.run import Run, check_fingerprint, json_bytes

COMMIT_PHOTOS = 500
"""Commit after this many photos …"""
COMMIT_S = 20.0
"""… or this many seconds, so that a kill costs no more work than that."""

_log = get_logger("writer")


@dataclass(frozen=True)
class CommitLimits:
    """When waiting photos are committed."""

    photos: int
    """At this many photos."""
    seconds: float
    """When the first of them has waited this long."""


class DatasetWriter:
    """Writes one dataset. Made by `open_writer`, which takes the dataset over first.

    Args:
        layout: the dataset.
        run: the run that writes.
        log: the commits so far; kept current.
        lease: our hold on the dataset.
        limits: when waiting photos are committed.
    """

    def __init__(self, layout: Layout, run: Run, log: CommitLog, lease: Lease, limits: CommitLimits) -> None:
        self.log = log
        self._layout, self._run, self._lease, self._limits = layout, run, lease, limits
        self._added = set[str]()
        self._waiting: list[pa.Table] = []
        self._waiting_since = 0.0
        self._has_failed = False

    @property
    def waiting(self) -> int:
        """Number of photos that are not committed."""
        return sum(table.num_rows for table in self._waiting)

    @property
    def is_due(self) -> bool:
        """Whether photos have waited long enough to be committed."""
        return bool(self._waiting) and time.monotonic() - self._waiting_since >= self._limits.seconds

    def add(self, scored: pa.Table) -> pa.Table:
        """Add scored photos, and return them without their maps and without photos that came before.

        Shape: schema `SCORED` → the same without `crack_map`.
        """
        with self._report_lost_place():
            new = write_maps(self._drop_repeated(scored), self._layout)
        if not self._waiting:
            self._waiting_since = time.monotonic()
        if new.num_rows:
            self._waiting.append(new)
        if self.waiting >= self._limits.photos:
            self.commit()
        return new

    def commit(self) -> None:
        """Commit the waiting photos; after a failed commit do nothing, because it is unknown how far that one came.

        Raises:
            LostPlaceError: another writer has taken the dataset over.
            StorageError: a file could not be written.
        """
        if self._waiting and not self._has_failed:
            self._has_failed = True
            scored = pa.concat_tables(self._waiting)
            with self._report_lost_place():
                if not self._put(scored):
                    self._give_up(scored)
            self._waiting, self._has_failed = [], False

    @contextmanager
    def _report_lost_place(self) -> Iterator[None]:
        """Check the lease if a file vanishes while it is written: a writer that takes over sweeps unfinished files."""
        try:
            yield
        except NotFoundError:
            self._lease.check()
            raise

    def take_over(self) -> None:
        """Fence older writers off with an empty part, read what they committed last, and sweep what they left.

        An older writer's next number is at most that of the fence, so it can commit nothing more.
        """
        while not self._put(table_schemas.SCORED.empty_table()):
            self.log = read_log(self._layout, self.log)  # an older writer was quicker
        self.log = read_log(self._layout, self.log)
        if finish_forgetting(self._layout, self._lease.check):
            self.log = read_log(self._layout)
        self._sweep()

    def forget(self, image_ids: Collection[str]) -> None:
        """Remove all of photos whose files were replaced, so that the run scores them again."""
        _reopen(self._layout)
        note_forgotten(self._layout, image_ids)
        gone = finish_forgetting(self._layout, self._lease.check)
        self.log = read_log(self._layout)
        self._added.difference_update(gone)
        _log.info("forgot replaced photos", photos=len(gone))

    def forget_failed(self, kinds: Collection[str] | None) -> int:
        """Remove the rows of failed photos, so that the run scores these photos again.

        Args:
            kinds: values of `failure_kind`; None takes all.

        Returns:
            The number of photos removed.
        """
        parts = sorted(self.log.failed_parts)
        _reopen(self._layout)
        forgotten = [self._forget(part, kinds) for part in parts]
        ids = pa.chunked_array([chunk for gone, _ in forgotten for chunk in gone.chunks], pa.string())
        emptied = [part for part, (_, kept) in zip(parts, forgotten, strict=True) if not kept]
        self.log = self.log.without_failed(ids, emptied)
        self._added.difference_update(ids.to_pylist())
        _log.info("forgot failed photos", photos=len(ids), kinds=kinds and sorted(kinds))
        return len(ids)

    def finish(self, planned: pa.ChunkedArray | None, complete: Callable[[], None] = lambda: None) -> CommitLog:
        """Commit and sweep; if every planned photo has its row, complete the dataset and write `summary.json`.

        Args:
            planned: `image_id` of every photo that was ever planned for this dataset; None if the photos of an archive
                are not known yet.
            complete: writes what takes all photos: it is made anew whenever the dataset grows, and is there before
                `summary.json`.

        Returns:
            The current commit log.

        Raises:
            LostPlaceError: another writer has taken the dataset over.
        """
        self.commit()
        self._lease.check()
        log = read_log(self._layout, self.log)
        if len(log.tokens) > len(self.log.tokens):
            raise self._lost_place()
        self.log = log
        self._sweep()
        if planned is not None and pc.all(pc.is_in(planned, value_set=log.done), min_count=0).as_py():
            facts = {"photos": len(log.done), "failed": log.failed, "commits": len(log.tokens)}
            complete()
            self._lease.check()
            finished = {"finished_at": datetime.now(UTC).isoformat(timespec="seconds"), "run_id": self._run.run_id}
            storage.write_whole(self._layout.summary, json_bytes(facts | finished))
        return log

    def _drop_repeated(self, scored: pa.Table) -> pa.Table:
        """Drop photos that came before: a scorer that was lost may still have handed them over."""
        ids = scored["image_id"].to_pylist()
        is_new = []
        for id_ in ids:
            is_new.append(id_ not in self._added)
            self._added.add(id_)
        if all(is_new):
            return scored  # the usual case; filtering costs as much as the rest of this method
        first = scored.slice(is_new.index(False), 1).select(["archive", "image"]).to_pylist()[0]
        _log.warning("photos came twice", photos=is_new.count(False), **first)
        return scored.filter(pa.array(is_new, pa.bool_()))

    def _put(self, scored: pa.Table) -> bool:
        """Write the next commit; return False if its number is another writer's."""
        self._lease.check()
        part, token = len(self.log.tokens), self._run.run_id
        images = table_schemas.make_images_table(scored, part, self._run.model_id, token, self._run.schema_version)
        ok = pc.equal(images["status"], "ok")
        tiles, failed = table_schemas.make_tiles_table(scored, part), images.filter(pc.invert(ok))
        cracks = table_schemas.make_cracks_table(scored, part)
        if self._run.schema_version < table_schemas.CRACKS_SINCE:
            cracks = cracks.slice(0, 0)
        for url, table in (
            (self._layout.tiles(part, token), tiles),
            (self._layout.cracks(part, token), cracks),
            (self._layout.failed(part), failed),
        ):
            if table.num_rows:
                storage.write_whole(url, self._encode(table))
        if not storage.create(self._layout.images(part), self._encode(images.filter(ok))):
            return False
        self.log = self.log.after(token, images["image_id"], failed.num_rows)
        _log.info("committed", part=part, photos=scored.num_rows, tiles=tiles.num_rows, failed=failed.num_rows)
        return True

    def _give_up(self, scored: pa.Table) -> NoReturn:
        """Remove what this commit wrote, and stop: its number is another writer's fence, which has no such file."""
        part = len(self.log.tokens)
        storage.remove(self._layout.tiles(part, self._run.run_id))
        storage.remove(self._layout.cracks(part, self._run.run_id))
        if pc.any(pc.equal(scored["status"], "failed")).as_py():
            storage.remove(self._layout.failed(part))
        raise self._lost_place()

    def _lost_place(self) -> LostPlaceError:
        return LostPlaceError(
            f"Another writer has taken {self._layout.url} over: commit {len(self.log.tokens)} is there already. "
            "This run stops; what it had committed stays. Run one writer at a time."
        )

    def _forget(self, part: int, kinds: Collection[str] | None) -> tuple[pa.ChunkedArray, int]:
        """Remove failed rows of one commit; return their photos, and the number of failed rows that stay."""
        table = read_table(self._layout.failed(part))
        is_kept = pc.invert(pc.is_in(table["failure_kind"], value_set=pa.array(kinds or [], pa.string())))
        kept = table.slice(0, 0) if kinds is None else table.filter(is_kept)
        self._lease.check()  # as late as possible: no fence stops what follows
        if kept.num_rows == 0:
            storage.remove(self._layout.failed(part))
        elif kept.num_rows < table.num_rows:
            storage.write_whole(self._layout.failed(part), table_bytes(kept))
        gone = pc.invert(pc.is_in(table["image_id"], value_set=kept["image_id"]))
        return table["image_id"].filter(gone), kept.num_rows

    def _sweep(self) -> None:
        """Remove what killed or late writers left, which nobody can commit any more."""
        for url in self.log.orphans:
            storage.remove(url)
        folders = [storage.join(self._layout.url, name) for name in ("images", "tiles", "cracks", "plan", "maps")]
        left = [url for folder in folders if storage.exists(folder) for url in storage.remove_leftovers(folder)]
        if swept := [*self.log.orphans, *left]:
            _log.info("swept", files=len(swept), first=swept[0])
        self.log = replace(self.log, orphans=())

    def _encode(self, table: pa.Table) -> bytes:
        run = self._run
        return table_bytes(table.replace_schema_metadata(file_metadata(run.run_id, run.model_id, run.schema_version)))


def open_writer(layout: Layout, run: Run, lease: Lease, limits: CommitLimits | None = None) -> DatasetWriter:
    """Begin a dataset, or take an existing one over.

    Args:
        layout: the dataset.
        run: the run that writes.
        lease: our hold on the dataset.
        limits: when waiting photos are committed; None takes `COMMIT_PHOTOS` and `COMMIT_S`.

    Raises:
        UsageError: the dataset is sealed, or holds scores of another fingerprint.
        DatasetError: it holds scores, but no `run.json` with their fingerprint.
        LostPlaceError: another writer has taken the dataset over.
    """
    log = read_log(layout)
    if log.tokens and not storage.exists(layout.run):
        found = f"{layout.url} has scores but no run.json, which says how they were made."
        raise DatasetError(f"{found} Restore it, or score into another --out.")
    writer = DatasetWriter(layout, run, log, lease, limits or CommitLimits(COMMIT_PHOTOS, COMMIT_S))
    content = {"run_id": run.run_id, "fingerprint": run.fingerprint, **run.details}  # the id makes our file unique
    if storage.create(layout.run, json_bytes(content)):
        return writer
    check_fingerprint(layout, run.fingerprint)
    _reopen(layout)
    writer.take_over()
    return writer


def _reopen(layout: Layout) -> None:
    """Remove what a dataset has only while it is finished."""
    storage.remove(layout.summary)
    storage.remove(layout.raster_cracks)
