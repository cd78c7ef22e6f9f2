"""How far a dataset is, how fast it grows, what failed, and who writes it.

It counts with SQL over the files and holds nothing per photo in memory, so that a million photos take seconds.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pipeline import storage
from pipeline.core import table_schemas
from pipeline.core.errors import DatasetError, NotFoundError
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Holder, Watch, is_gone, read_lease
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import create_file_view, views
from pipeline.monitoring.changes import Change, read_changes
from pipeline.monitoring.prices import Cost
from pipeline.monitoring.run_report import read_reports, total_cost

LAST_COMMITS = 20
"""Number of commits that the speed is measured over: a few minutes, at three commits a minute or more."""

LEAST_S = 1.0
"""Shorter spans give no speed: all photos of one call of a scorer get their scores at the same moment."""

_COUNTS = """
    SELECT failure_kind, count(*) AS photos FROM images GROUP BY failure_kind ORDER BY photos DESC, failure_kind
"""

_PLANNED = """
    SELECT count(DISTINCT image_id) FILTER (image_id <> ''), count(DISTINCT archive) FILTER (image_id = '')
    FROM (SELECT coalesce(image_id, '') AS image_id, archive FROM planned
          UNION ALL SELECT image_id, NULL FROM images)
"""
"""Photos of a stream have rows before they are in the plan, which gets them when the stream has been read."""

_SPEED = """
    WITH last AS (SELECT run_id FROM images WHERE part = (SELECT max(part) FROM images) LIMIT 1),
         recent AS (SELECT scored_at, tiles FROM images SEMI JOIN last USING (run_id)
                    WHERE part > (SELECT max(part) FROM images) - $commits)
    SELECT count(*), sum(tiles), epoch(min(scored_at)), epoch(max(scored_at)) FROM recent
"""
"""Only the last run counts: before it the dataset may have been idle for days."""


_EMPTY_TILES = "SELECT coalesce(sum(empty_tiles), 0)::BIGINT FROM rasters"


@dataclass(frozen=True)
class Speed:
    """How fast photos were scored recently."""

    photos_per_s: float
    tiles_per_s: float
    until: datetime
    """When the last photo was scored."""


@dataclass(frozen=True)
class Writer:
    """Who holds the lease."""

    run_id: str
    host: str
    pid: int
    since: datetime
    state: Literal["alive", "gone", "silent"]
    """`gone`: its process on this machine has ended. `silent`: by our clock it did not renew its lease in time."""
    watch: Watch | None = None
    """How it stands, if it looks for new photos again and again; None for a run that ends by itself."""


@dataclass(frozen=True)
class Status:
    """How far a dataset is."""

    out: str
    """Canonical URL."""
    is_finished: bool
    is_sealed: bool
    """Whether `compact` made it."""
    planned: int
    """Photos that are known; `unlisted_archives` and `unread_archives` may hold more."""
    unlisted_archives: int
    """Archives that the latest run found and has not listed yet."""
    unread_archives: int
    """Streams whose photos are not known until they have been read to their end."""
    done: int
    """Photos with a row, also the failed ones."""
    failures: Mapping[str, int]
    """Failed photos by kind, the most frequent first."""
    speed: Speed | None
    """None if too little is done."""
    left_s: float | None
    """Seconds that the known rest takes at that speed; None without a speed."""
    writer: Writer | None
    changes: tuple[Change, ...]
    """Archives and photos that were not what was listed any more when the last run that has ended looked."""
    cost: Cost | None
    """Cost of all runs that had prices; None if no run had."""
    empty_tiles: int = 0
    """Tiles of rasters that show nothing, and are not scored."""

    @property
    def failed(self) -> int:
        """Number of failed photos."""
        return sum(self.failures.values())


def status(out: str) -> Status:
    """Return the status of a dataset, also while a run writes it.

    Raises:
        UsageError: there is no dataset.
        DatasetError: a file of it is damaged.
    """
    layout = Layout(storage.canonical(out))
    run = read_run(layout)
    plans = [file.url for file in storage.list_files(layout.plans)] if storage.exists(layout.plans) else []
    with views(layout) as connection:
        create_file_view(
            connection, "planned", [url for url in plans if url.endswith(".parquet")], table_schemas.MEMBERS
        )
        planned, unread = connection.execute(_PLANNED).fetchall()[0]
        counts = dict(connection.execute(_COUNTS).fetchall())
        [[empty_tiles]] = connection.execute(_EMPTY_TILES).fetchall()
        speed = _measure_speed(*connection.execute(_SPEED, {"commits": LAST_COMMITS}).fetchall()[0])
    done, reports = sum(counts.values()), read_reports(layout)
    return Status(
        out=layout.url,
        is_finished=storage.exists(layout.summary),
        is_sealed=bool(run.get("sealed")),
        planned=planned,
        unlisted_archives=len({*map(layout.plan, _read_awaited(layout))} - {*plans}),
        unread_archives=unread,
        done=done,
        failures={kind: photos for kind, photos in counts.items() if kind is not None},
        speed=speed,
        left_s=(planned - done) / speed.photos_per_s if speed else None,
        writer=_describe_writer(read_lease(layout)),
        changes=read_changes(reports),
        cost=total_cost(reports),
        empty_tiles=empty_tiles,
    )


def _read_awaited(layout: Layout) -> list[str]:
    """Read which archives the latest run is to list, or has listed."""
    try:
        return [str(url) for url in json.loads(storage.read_bytes(layout.awaited))["archives"]]
    except NotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{layout.awaited} is damaged: {error!r}. Remove it; `crackscan score` writes it anew."
        ) from error


def _measure_speed(photos: int, tiles: int | None, first_s: float | None, last_s: float | None) -> Speed | None:
    """Return the speed; the first photo starts the clock and does not count itself."""
    if first_s is None or last_s is None or last_s - first_s < LEAST_S:
        return None
    photos_per_s = (photos - 1) / (last_s - first_s)
    return Speed(photos_per_s, (tiles or 0) / photos * photos_per_s, datetime.fromtimestamp(last_s, UTC))


def _describe_writer(holder: Holder | None) -> Writer | None:
    if holder is None:
        return None
    silent_s = (datetime.now(UTC) - holder.renewed).total_seconds()
    state: Literal["alive", "gone", "silent"] = "silent" if silent_s > holder.ttl_s else "alive"
    state = "gone" if is_gone(holder) else state
    return Writer(holder.run_id, holder.host, holder.pid, holder.since, state, holder.watch)
