"""The tables that people add to a dataset, and the views of them: scales, verdicts and elements.

They lie beside the committed files, which stay as they are; the package `findings` writes them.

* `scales.parquet`: scales of photos that were set after they had been scored
* `verdicts/*.parquet`: what people said of photos, tiles and cracks; files are only added
* `elements.parquet`: which part of which structure a photo shows, one row a photo
"""

from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from pipeline import storage
from pipeline.core.errors import DatasetError, UsageError
from pipeline.dataset.commit_log import read_table, table_bytes
from pipeline.dataset.layout import Layout

_ADDRESS = [("archive", pa.string()), ("image", pa.string()), ("image_id", pa.string())]
_BOX = [(name, pa.int32()) for name in ("left_px", "top_px", "width_px", "height_px")]
_TIME = pa.timestamp("us", tz="UTC")

SCALES = pa.schema([*_ADDRESS, ("mm_per_px", pa.float64()), ("scale_source", pa.string()), ("set_at", _TIME)])

VERDICTS = pa.schema(
    [
        ("verdict_id", pa.string()),
        *_ADDRESS,
        ("subject", pa.string()),
        *_BOX,
        ("cracks", pa.list_(pa.int32())),
        ("verdict", pa.string()),
        ("comment", pa.string()),
        ("by", pa.string()),
        ("judged_at", _TIME),
        ("recorded_at", _TIME),
        ("scored_at", _TIME),
        ("pick", pa.string()),
        ("weight", pa.float64()),
    ]
)
"""`verdict_id` is a hash of what was said of what by whom and when: a file that is read twice adds nothing. `cracks`
are the numbers of the photo's cracks that run through the place, null for a photo. `scored_at` is that of the photo:
once it is scored anew, the verdict is about another picture. `pick` and `weight` say how the place was sampled."""

SUBJECTS = ("photo", "tile", "crack")
ANSWERS = ("crack", "no_crack", "unclear")

ELEMENTS = pa.schema([*_ADDRESS, *((name, pa.string()) for name in ("structure", "span", "element", "face"))])
"""And further columns of text, the office's own."""

_VERDICTS = """
    CREATE VIEW verdicts AS
    SELECT v.* EXCLUDE (filename, copy, turn), turn = 1 AS is_last,
           i.image_id IS NOT NULL AND i.scored_at IS NOT DISTINCT FROM v.scored_at AS is_current
    FROM (
        SELECT *, row_number() OVER (
            PARTITION BY image_id, scored_at, subject, left_px, top_px, width_px, height_px
            ORDER BY judged_at DESC, recorded_at DESC, verdict_id
        ) AS turn
        FROM (
            SELECT *, row_number() OVER (PARTITION BY verdict_id ORDER BY recorded_at) AS copy FROM verdicts_files
        ) WHERE copy = 1
    ) AS v LEFT JOIN images_files AS i USING (image_id)
"""
"""All verdicts, each once: whether it is the last on its place, and whether the photo is the one that was judged. One
on another picture, or on none, never takes the place of one on the photo as it is."""

_ANSWER = 'verdict, comment, "by", judged_at'

_FINDINGS = f"""
    CREATE VIEW findings AS
    WITH said AS (SELECT * FROM verdicts WHERE is_last AND is_current),
    of_crack AS (
        SELECT image_id, crack, subject, {_ANSWER} FROM said, unnest(cracks) AS numbers(crack)
        QUALIFY row_number() OVER (
            PARTITION BY image_id, crack ORDER BY subject = 'crack' DESC, verdict = 'crack' DESC, judged_at DESC
        ) = 1
    ), of_photo AS (SELECT image_id, {_ANSWER} FROM said WHERE subject = 'photo'),
    places AS (
        SELECT 'crack' AS kind, c.*, coalesce(o.verdict, p.verdict) AS verdict,
               coalesce(o.comment, p.comment) AS comment, coalesce(o."by", p."by") AS "by",
               coalesce(o.judged_at, p.judged_at) AS judged_at
        FROM cracks AS c LEFT JOIN of_crack AS o USING (image_id, crack) LEFT JOIN of_photo AS p USING (image_id)
        UNION ALL BY NAME
        SELECT 'tile' AS kind, image_id, archive, image, left_px, top_px, width_px, height_px, {_ANSWER}
        FROM said WHERE subject = 'tile' AND coalesce(len(cracks), 0) = 0
    ), rest AS (
        SELECT 'photo' AS kind, i.image_id, i.archive, i.image, i.crack_score AS score, {_ANSWER}
        FROM (FROM images ANTI JOIN places USING (image_id)) AS i LEFT JOIN of_photo USING (image_id)
        WHERE verdict IS NOT NULL OR {{is_over}}
    )
    SELECT kind,
           CASE verdict WHEN 'crack' THEN 'confirmed' WHEN 'no_crack' THEN 'rejected' WHEN 'unclear' THEN 'unclear'
                ELSE 'open' END AS state,
           f.* EXCLUDE (kind), e.* EXCLUDE (archive, image, image_id)
    FROM (FROM places UNION ALL BY NAME FROM rest) AS f LEFT JOIN elements AS e USING (image_id)
"""  # noqa: S608 - our own SQL
"""What was found, place by place, and what people say of it: each crack; each judged tile that no crack runs through;
and each photo that is over the threshold, or was judged, and has neither. A crack's own verdict counts, else one on a
tile that it runs through (one that confirms it before others), else that of its photo."""

_COPIED = b"crackscan.copied_from"
"""Key of Parquet metadata: the dataset from which a compaction has its elements."""

STATES = ("confirmed", "open", "unclear", "rejected")


class SideTable(NamedTuple):
    """A table beside the committed files."""

    name: str
    urls: list[str]
    """Its files; none if nobody has written it."""
    columns: pa.Schema


def scales_url(layout: Layout) -> str:
    """Return the URL of `scales.parquet`; it exists only after `crackscan scale`."""
    return storage.join(layout.url, "scales.parquet")


def elements_url(layout: Layout) -> str:
    """Return the URL of `elements.parquet`; it exists only after `crackscan elements`."""
    return storage.join(layout.url, "elements.parquet")


def list_verdict_files(layout: Layout) -> list[str]:
    """Return the URLs of the files of verdicts, oldest first by their names."""
    folder = storage.join(layout.url, "verdicts")
    if not storage.exists(folder):
        return []
    return sorted(file.url for file in storage.list_files(folder) if file.path.endswith(".parquet"))


def side_tables(layout: Layout) -> tuple[SideTable, SideTable]:
    """Return the tables of verdicts and elements."""
    url = elements_url(layout)
    elements = [url] if storage.exists(url) else []
    columns = read_table(url).schema if elements else ELEMENTS
    return SideTable("verdicts_files", list_verdict_files(layout), VERDICTS), SideTable(
        "elements_files", elements, columns
    )


def view_statements(is_over: str) -> tuple[str, ...]:
    """Return SQL for the views of verdicts, elements and findings; the views of scores must be there.

    Args:
        is_over: SQL that tells whether a photo counts as cracked.
    """
    elements = "CREATE VIEW elements AS SELECT * EXCLUDE (filename) FROM elements_files"
    return _VERDICTS, elements, _FINDINGS.format(is_over=is_over)


def refuse_own(old: Layout, new: Layout) -> None:
    """Refuse to replace a copy of a dataset that has scales or elements of its own: a new copy has the dataset's.

    Raises:
        UsageError: says which.
    """
    if storage.exists(scales_url(new)):
        raise UsageError(
            f"{new.url} has scales of its own, in scales.parquet, and a new compaction has those of {old.url}. Set "
            f"them there with `crackscan scale`, and drop these with `crackscan scale {new.url} --remove`; or give "
            "another --to."
        )
    if storage.exists(url := elements_url(new)) and _COPIED not in (read_table(url).schema.metadata or {}):
        raise UsageError(
            f"{new.url} has elements of its own, in elements.parquet, and a new compaction has those of {old.url}. "
            "Give the rules to `crackscan elements` there, and remove this file; or give another --to."
        )


def copy_tables(old: Layout, new: Layout) -> None:
    """Copy the verdicts and elements of a dataset; verdicts that were added to an older copy stay beside them.

    Scales are not copied: those of a copy are in its files.
    """
    for url in list_verdict_files(old):
        storage.write_whole(storage.join(new.url, "verdicts", storage.name(url)), storage.read_bytes(url))
    if not storage.exists(url := elements_url(old)):
        storage.remove(elements_url(new))
    else:
        table = read_table(url)
        marked = table.replace_schema_metadata({**(table.schema.metadata or {}), _COPIED: old.url})
        storage.write_whole(elements_url(new), table_bytes(marked))


def find_scale_faults(layout: Layout) -> list[str]:
    """Find what is wrong with a dataset's `scales.parquet`, if there is one."""
    url = scales_url(layout)
    table = _read_or_fault(url, SCALES) if storage.exists(url) else SCALES.empty_table()
    if isinstance(table, str):
        return [table]
    is_scale = pc.and_(pc.greater(table["mm_per_px"], 0), pc.is_finite(table["mm_per_px"])).fill_null(fill_value=False)
    return [*table["image"].filter(pc.invert(is_scale)).to_pylist(), *_find_twice(table)]


def find_element_faults(layout: Layout) -> list[str]:
    """Find what is wrong with a dataset's `elements.parquet`, if there is one."""
    url = elements_url(layout)
    table = _read_or_fault(url, ELEMENTS) if storage.exists(url) else ELEMENTS.empty_table()
    return [table] if isinstance(table, str) else _find_twice(table)


def find_verdict_faults(layout: Layout) -> list[str]:
    """Find what is wrong with a dataset's verdicts: damaged files, and answers or subjects that there are not."""
    return [fault for url in list_verdict_files(layout) for fault in _find_in_file(url)]


def _find_in_file(url: str) -> Iterator[str]:
    table = _read_or_fault(url, VERDICTS)
    if isinstance(table, str):
        yield table
        return
    is_known = pc.and_(pc.is_in(table["verdict"], pa.array(ANSWERS)), pc.is_in(table["subject"], pa.array(SUBJECTS)))
    yield from table["verdict_id"].filter(pc.invert(is_known)).to_pylist()


def _read_or_fault(url: str, columns: pa.Schema) -> pa.Table | str:
    """Read a table; return what is wrong with it if it cannot be read or lacks a column."""
    try:
        table = read_table(url)
    except DatasetError as error:
        return str(error)
    has_all = all(field in [*table.schema] for field in columns)
    return table if has_all else f"{storage.name(url)} has other columns"


def _find_twice(table: pa.Table) -> list[str]:
    ids = table["image_id"].value_counts()
    twice: list[str] = ids.filter(pc.greater(ids.field("counts"), 1)).field("values").to_pylist()
    return twice
