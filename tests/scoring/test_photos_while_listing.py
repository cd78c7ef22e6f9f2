"""The first photos of an archive are scored while the rest of it is listed, and each photo is scored once."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline import storage
from pipeline.archives.listing import Listing, is_partial
from pipeline.archives.readers import MeasuredListing, OnEntry, list_and_measure
from pipeline.core.errors import StorageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.verify import verify
from pipeline.monitoring.status import Status, status
from pipeline.rasters.window_reader import WindowRule
from pipeline.scoring.config import ScoreConfig
from pipeline.scoring.flow import score
from pipeline.scoring.plan import read_listings
from pipeline.scoring.progress import Progress, ScoreCallbacks
from pipeline.storage import StoredFile
from tests.helpers.brightness_engine import make_fast_brightness
from tests.helpers.packing import pack_tar
from tests.helpers.watched_folder import without_ray

FIRST = 4
WAIT_S = 120.0
"""A test that waits longer fails."""


@pytest.fixture
def archive(photos: Path, tmp_path: Path) -> Path:
    """Make a tar of twelve photos."""
    path = tmp_path / "a.tar"
    path.write_bytes(pack_tar([(photo.name, photo.read_bytes()) for photo in sorted(photos.iterdir())]))
    return path


class SlowListing(ScoreCallbacks):
    """Lists an archive, and goes on after the first photos only when these have their rows.

    Args:
        out: the dataset.
        fails: whether the store is gone then.
    """

    def __init__(self, out: str, *, fails: bool = False) -> None:
        self._out, self._fails = out, fails
        self._scored = threading.Event()
        self.progress = list[Progress]()
        self.status: Status | None = None
        """Of the dataset when the listing goes on."""
        self.was_partial: bool | None = None
        """Whether the listing in the dataset was a partial one then."""

    def on_progress(self, progress: Progress) -> None:
        """Note it, and let the listing go on once the first photos are scored."""
        self.progress.append(progress)
        if progress.tried >= FIRST:
            self._scored.set()

    def __call__(self, file: StoredFile, place: str, windows: WindowRule | None, on_entry: OnEntry) -> MeasuredListing:
        """List it."""
        files = 0

        def follow(listing: Listing) -> None:
            nonlocal files
            on_entry(listing)
            files += 1
            if files == FIRST + 1:
                self._wait(listing, on_entry)

        return list_and_measure(file, place, windows, follow)

    def _wait(self, listing: Listing, on_entry: OnEntry) -> None:
        for _ in range(int(WAIT_S / 0.01)):
            on_entry(listing)
            if self._scored.wait(0.01):
                break
        assert self._scored.is_set(), "no photo was scored while the archive was listed"
        self.status = status(self._out)
        [table] = read_listings(Layout(storage.canonical(self._out)))
        self.was_partial = is_partial(table)
        if self._fails:
            raise StorageError("The store is gone.")


@pytest.fixture
def patch() -> Iterator[pytest.MonkeyPatch]:
    """Score without Ray, and hand on photos from the start."""
    with pytest.MonkeyPatch.context() as patch, without_ray(patch):
        patch.setattr("pipeline.scoring.flow.EARLY_S", 0.0)
        yield patch


def make_config(archive: Path, tmp_path: Path) -> ScoreConfig:
    """Return the configuration of a run without cracks, which take a network."""
    return ScoreConfig((str(archive),), str(tmp_path / "out"), device="cpu", cracks=False)


def find_broken(config: ScoreConfig) -> list[str]:
    """Return the invariants that do not hold."""
    return [check.invariant for check in verify(config.out, lambda *_: None) if check.broken]


def read_ids(config: ScoreConfig) -> list[str]:
    """Read the ids of all rows, sorted."""
    return sorted(pq.read_table(f"{config.out}/images")["image_id"].to_pylist())


def test_the_first_photos_are_scored_while_the_archive_is_listed(
    archive: Path, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    """They are counted, and the dataset says meanwhile that there are more; at the end each photo has one row."""
    config = make_config(archive, tmp_path)
    slow = SlowListing(config.out)
    patch.setattr("pipeline.scoring.flow.list_and_measure", slow)
    summary = score(config, slow, make_fast_brightness)
    assert slow.was_partial
    assert slow.status is not None
    assert (slow.status.planned, slow.status.unread_archives, slow.status.is_finished) == (FIRST, 1, False)
    assert next((now.photos, now.uncounted) for now in slow.progress if now.tried == 0) == (FIRST, 1)
    assert (slow.progress[-1].photos, slow.progress[-1].uncounted, slow.progress[-1].tried) == (12, 0, 12)
    assert (summary.listed, summary.run.scored, summary.left, summary.is_finished) == (12, 12, 0, True)
    assert len(set(read_ids(config))) == len(read_ids(config)) == 12
    assert find_broken(config) == []


def test_a_run_that_ends_while_it_lists_is_gone_on_with(
    archive: Path, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    """The archive is listed again, whole, and what has its row is not scored again."""
    config = make_config(archive, tmp_path)
    slow = SlowListing(config.out, fails=True)
    patch.setattr("pipeline.scoring.flow.list_and_measure", slow)
    with pytest.raises(StorageError, match="gone"):
        score(config, slow, make_fast_brightness)
    assert len(read_ids(config)) == FIRST
    patch.setattr("pipeline.scoring.flow.list_and_measure", list_and_measure)
    summary = score(config, None, make_fast_brightness)
    assert (summary.done_before, summary.run.scored, summary.is_finished) == (FIRST, 12 - FIRST, True)
    assert len(set(read_ids(config))) == len(read_ids(config)) == 12
    assert find_broken(config) == []


@pytest.mark.parametrize(("on_changed", "scored"), [("report", 0), ("rescore", 11)])
def test_first_photos_are_never_mixed_with_those_of_another_archive(
    on_changed: str, scored: int, archive: Path, photos: Path, tmp_path: Path, patch: pytest.MonkeyPatch
) -> None:
    """The partial listing tells of which version their rows are."""
    config = make_config(archive, tmp_path)
    slow = SlowListing(config.out, fails=True)
    patch.setattr("pipeline.scoring.flow.list_and_measure", slow)
    with pytest.raises(StorageError, match="gone"):
        score(config, slow, make_fast_brightness)
    before = read_ids(config)
    others = sorted(photos.iterdir())[1:]
    archive.write_bytes(
        pack_tar(
            [(photo.name, other.read_bytes()) for photo, other in zip(others, others[1:] + others[:1], strict=True)]
        )
    )
    patch.setattr("pipeline.scoring.flow.list_and_measure", list_and_measure)
    summary = score(replace(config, on_changed=on_changed), None, make_fast_brightness)  # type: ignore[arg-type]
    assert [change.what for change in summary.changes] == ([] if scored else ["replaced"])
    assert summary.run.scored == scored
    assert scored or read_ids(config) == before
    assert find_broken(config) == []
