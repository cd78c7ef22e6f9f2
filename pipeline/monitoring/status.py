"""How far a dataset is, how fast it grows, what failed, and who writes it.

It counts with SQL over the files and holds nothing per photo, so that a million photos are told in seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from pipeline import storage
from pipeline.core import schema
from pipeline.dataset.layout import Layout
from pipeline.dataset.lease import Holder, is_gone, read_lease
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import file_rows, views
from pipeline.monitoring.prices import Cost
from pipeline.monitoring.run_report import read_reports, total_cost

LAST_COMMITS = 20
"""The speed is that of so many commits: some minutes, as a commit is made at least three times a minute."""

LEAST_S = 1.0
"""Photos of a shorter time tell no speed: those of one call of a scorer get their scores in the same moment."""

_COUNTS = """
    SELECT failure_kind, count(*) AS photos FROM images GROUP BY failure_kind ORDER BY photos DESC, failure_kind
"""

_PLANNED = """
    SELECT count(DISTINCT image_id) FILTER (image_id <> ''), count(DISTINCT archive) FILTER (image_id = '')
    FROM (SELECT coalesce(image_id, '') AS image_id, archive FROM planned
          UNION ALL SELECT image_id, NULL FROM images)
"""
"""Photos of an archive that has not been read to its end have rows before they are in the plan."""

_SPEED = """
    WITH last AS (SELECT run_id FROM images WHERE part = (SELECT max(part) FROM images) LIMIT 1),
         recent AS (SELECT scored_at, tiles FROM images SEMI JOIN last USING (run_id)
                    WHERE part > (SELECT max(part) FROM images) - $commits)
    SELECT count(*), sum(tiles), epoch(min(scored_at)), epoch(max(scored_at)) FROM recent
"""
"""Of the last run alone: before it the dataset may have lain still for days."""


@dataclass(frozen=True)
class Speed:
    """How fast photos were scored of late."""

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
    """`gone`: a process of this machine that has ended. `silent`: its lease was not renewed in time, by our clock."""


@dataclass(frozen=True)
class Status:
    """How far a dataset is."""

    out: str
    """Canonical URL."""
    is_finished: bool
    is_sealed: bool
    """Whether `compact` made it."""
    planned: int
    """Photos that are known; more may come of `unread_archives`."""
    unread_archives: int
    """Archives whose photos are known only once they have been read to their end."""
    done: int
    """Photos with a row, failed ones too."""
    failures: Mapping[str, int]
    """Failed photos by kind, the most frequent first."""
    speed: Speed | None
    """None where too little is done to tell."""
    left_s: float | None
    """Time that the known rest takes at that speed."""
    writer: Writer | None
    cost: Cost | None
    """Of all runs whose prices were given."""

    @property
    def failed(self) -> int:
        """Photos that failed."""
        return sum(self.failures.values())


def status(out: str) -> Status:
    """Look at a dataset, also while it is written.

    Raises:
        UsageError: there is no dataset.
        DatasetError: a file of it is damaged.
    """
    layout = Layout(storage.canonical(out))
    run = read_run(layout)
    plans = [file.url for file in storage.list_files(layout.plans)] if storage.exists(layout.plans) else []
    with views(layout) as connection:
        file_rows(connection, "planned", [url for url in plans if url.endswith(".parquet")], schema.MEMBERS)
        planned, unread = connection.execute(_PLANNED).fetchall()[0]
        counts = dict(connection.execute(_COUNTS).fetchall())
        speed = _speed(*connection.execute(_SPEED, {"commits": LAST_COMMITS}).fetchall()[0])
    done = sum(counts.values())
    return Status(
        out=layout.url,
        is_finished=storage.exists(layout.summary),
        is_sealed=bool(run.get("sealed")),
        planned=planned,
        unread_archives=unread,
        done=done,
        failures={kind: photos for kind, photos in counts.items() if kind is not None},
        speed=speed,
        left_s=(planned - done) / speed.photos_per_s if speed else None,
        writer=_writer(read_lease(layout)),
        cost=total_cost(read_reports(layout)),
    )


def _speed(photos: int, tiles: int | None, first_s: float | None, last_s: float | None) -> Speed | None:
    """Tell the speed; the clock starts with the first photo, so that one does not count."""
    if first_s is None or last_s is None or last_s - first_s < LEAST_S:
        return None
    photos_per_s = (photos - 1) / (last_s - first_s)
    return Speed(photos_per_s, (tiles or 0) / photos * photos_per_s, datetime.fromtimestamp(last_s, UTC))


def _writer(holder: Holder | None) -> Writer | None:
    if holder is None:
        return None
    silent_s = (datetime.now(UTC) - holder.renewed).total_seconds()
    state: Literal["alive", "gone", "silent"] = "silent" if silent_s > holder.ttl_s else "alive"
    return Writer(holder.run_id, holder.host, holder.pid, holder.since, "gone" if is_gone(holder) else state)
