"""The one writer of a dataset: whole photos, committed a few hundred at a time.

Commit n writes the tiles file, then the failed photos' file, then creates `images/part-<n>` only if there is none. Who
finds it there has lost the dataset to another writer and stops; so a writer that is killed, stopped or late can leave
nothing that a reader would see twice.
"""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import schema, storage
from pipeline.dataset import TOKEN, CommitLog, Layout, read_log, table_bytes
from pipeline.errors import DatasetError, LostPlaceError, UsageError
from pipeline.log import get_logger
from pipeline.runs import Run

COMMIT_PHOTOS = 500
"""Commit after this many photos …"""
COMMIT_S = 20.0
"""… or this many seconds, so that a kill costs no more work than that."""

_log = get_logger("sink")


class Sink:
    """Writes one dataset. Made by `open_sink`, which takes the dataset over first.

    Args:
        layout: where the dataset lies.
        run: who writes.
        log: what is committed already.
    """

    def __init__(self, layout: Layout, run: Run, log: CommitLog) -> None:
        self.log = log
        self._layout, self._run = layout, run
        self._next_part = len(log.tokens)
        self._waiting: list[pa.Table] = []
        self._waiting_since = 0.0

    def add(self, scored: pa.Table) -> None:
        """Take scored photos in; schema `SCORED`."""
        if not self._waiting:
            self._waiting_since = time.monotonic()
        self._waiting.append(scored)
        if sum(table.num_rows for table in self._waiting) >= COMMIT_PHOTOS:
            self.commit()

    def commit_if_due(self) -> None:
        """Commit what has waited long enough; to be called now and then."""
        if self._waiting and time.monotonic() - self._waiting_since >= COMMIT_S:
            self.commit()

    def commit(self) -> None:
        """Commit what waits.

        Raises:
            LostPlaceError: another writer has taken the dataset over.
        """
        if self._waiting:
            self._write_part(pa.concat_tables(self._waiting))
            self._waiting = []

    def fence(self) -> None:
        """Commit an empty part, so that a writer that still lives fails at its next commit."""
        self._write_part(schema.SCORED.empty_table())

    def finish(self, planned: pa.ChunkedArray) -> CommitLog:
        """Sweep; where every planned photo has its row, write `summary.json`.

        Args:
            planned: `image_id` of every photo that was ever planned for this dataset.

        Returns:
            The commit log as it is now.
        """
        self.commit()
        log = read_log(self._layout)
        sweep(self._layout, log)
        if pc.all(pc.is_in(planned, value_set=log.done)).as_py():
            facts = {"photos": len(log.done), "failed": log.failed, "commits": len(log.tokens)}
            finished = {"finished_at": datetime.now(UTC).isoformat(timespec="seconds"), "run_id": self._run.run_id}
            storage.write_whole(self._layout.summary, _json(facts | finished))
        return log

    def _write_part(self, scored: pa.Table) -> None:
        part, token = self._next_part, self._run.run_id
        images = schema.images_table(scored, part, self._run.model_id, token)
        ok = pc.equal(images["status"], "ok")
        tiles, failed = schema.tiles_table(scored, part), images.filter(pc.invert(ok))
        if tiles.num_rows:
            storage.write_whole(self._layout.tiles(part, token), self._encoded(tiles))
        has_place = not failed.num_rows or storage.create(self._layout.failed(part), self._encoded(failed))
        if not has_place or not storage.create(self._layout.images(part), self._encoded(images.filter(ok))):
            self._give_up(part, wrote_failed=has_place and failed.num_rows > 0)
        self._next_part += 1
        _log.info("committed", part=part, photos=scored.num_rows, tiles=tiles.num_rows, failed=failed.num_rows)

    def _give_up(self, part: int, *, wrote_failed: bool) -> NoReturn:
        """Take back what this commit wrote, and stop: its number belongs to another writer."""
        self._waiting = []
        storage.remove(self._layout.tiles(part, self._run.run_id))
        if wrote_failed:
            storage.remove(self._layout.failed(part))
        raise LostPlaceError(
            f"Another writer has taken {self._layout.url} over: commit {part} is there already. "
            "This run stops; what it had committed stays. Run one writer at a time."
        )

    def _encoded(self, table: pa.Table) -> bytes:
        facts = {TOKEN: self._run.run_id, "crackscan.schema": str(schema.SCHEMA_VERSION)}
        return table_bytes(table.replace_schema_metadata(facts | {"crackscan.model": self._run.model_id}))


def open_sink(layout: Layout, run: Run) -> Sink:
    """Begin a dataset, or take an existing one over: fence older writers off, then sweep what they left.

    Raises:
        UsageError: the dataset holds scores of another fingerprint.
    """
    about = {"run_id": run.run_id, "fingerprint": run.fingerprint, **run.about}  # the id tells ours from another's
    if storage.create(layout.run, _json(about)):
        return Sink(layout, run, read_log(layout))
    check_fingerprint(layout, run.fingerprint)
    sink = Sink(layout, run, read_log(layout))
    storage.remove(layout.summary)
    sink.fence()
    sink.log = read_log(layout)  # not the one from before the fence: an older writer may have committed in between
    sweep(layout, sink.log)
    return sink


def check_fingerprint(layout: Layout, fingerprint: Mapping[str, Any]) -> None:
    """Refuse to mix scores.

    Raises:
        UsageError: naming every value that differs.
    """
    found = read_run(layout)["fingerprint"]
    different = [
        f"{key} is {found.get(key)!r} there and {fingerprint.get(key)!r} here"
        for key in sorted({*found, *fingerprint})
        if found.get(key) != fingerprint.get(key)
    ]
    if different:
        raise UsageError(
            f"{layout.url} holds scores that were made otherwise: {'; '.join(different)}. "
            "Give the options and the model of its first run, or another --out."
        )


def read_run(layout: Layout) -> dict[str, Any]:
    """Read `run.json`.

    Raises:
        UsageError: there is none.
        DatasetError: it is damaged.
    """
    if not storage.exists(layout.run):
        raise UsageError(f"There is no dataset at {layout.url}; expected a folder with run.json.")
    try:
        run: dict[str, Any] = json.loads(storage.read_bytes(layout.run))
        run["fingerprint"].items()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(f"{layout.run} is damaged: {error!r}. Restore it, or score into another --out.") from error
    return run


def sweep(layout: Layout, log: CommitLog) -> None:
    """Remove tiles and failed files that no commit names: a killed writer left them."""
    for url in log.orphans:
        storage.remove(url)
        _log.info("swept", url=url, dataset=layout.url)


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=False, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
