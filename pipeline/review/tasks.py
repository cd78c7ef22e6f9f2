"""Tasks for labelling tools: pictures of the chosen tiles or of their photos, and what the model says of them.

`selection` chooses as for a page, `task_pictures` finds what is in the pictures, and each tool has a module for its
files. What the tools export comes back through `findings.tool_verdicts`, by the names of the pictures.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from pipeline import storage
from pipeline.core.counts import none_of
from pipeline.core.errors import CrackscanError, DataError, UsageError
from pipeline.core.progress import OnProgress
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.dataset.sql import Connection, views
from pipeline.dataset.targets import check_folder, has_mark, mark_of
from pipeline.images.decode import Pixels
from pipeline.labels.boxes import cut
from pipeline.labels.crops import encode_png
from pipeline.reports.dataset_stats import threshold_of
from pipeline.reports.source_photos import read_source_photos
from pipeline.reports.thumbnails import encode
from pipeline.review import coco_tasks, cvat_tasks, label_studio_tasks
from pipeline.review.selection import ReviewRule, choose_tiles
from pipeline.review.task_pictures import TaskPicture, list_photos, list_tiles
from pipeline.review.tile_folder import PICKS, ReviewConfig, Reviewed

Tool = Literal["label-studio", "cvat", "coco"]
TOOLS: tuple[Tool, ...] = ("label-studio", "cvat", "coco")

_OURS = re.compile(r"(?:tiles|photos)/[0-9]+_[0-9a-z_.]+\.(?:png|jpg)")
_is_marked = has_mark("review", b"")
_HEAD_BYTES = 1000
"""Of a picture, in which its mark stands."""


def write_tasks(config: ReviewConfig, tool: Tool, on_progress: OnProgress, *, whole_photos: bool = False) -> Reviewed:
    """Choose tiles, write their pictures and then the file of tasks, so that a folder with that file is complete.

    Args:
        config: which tiles, and where to write.
        tool: whose files.
        on_progress: is called with the number of pictures done, and of all.
        whole_photos: whether to write the photos of the tiles, each once, instead of the tiles.

    Raises:
        UsageError: there is no dataset, it has no scored tile that nobody has judged, or the folder holds something
            else.
        CrackscanError: none of the pictures could be made.
    """
    layout, folder = Layout(storage.canonical(config.out)), storage.canonical(config.folder)
    run = read_run(layout)
    threshold = threshold_of(run, config.threshold)
    if threshold is None:
        raise UsageError(f"{layout.run} names no threshold. Give --threshold.")
    with views(layout) as connection:
        check_folder(folder, [layout])
        _clear_folder(folder)
        rule = ReviewRule(config.tiles, PICKS[config.pick], config.per_photo, threshold)
        pictures = _list_pictures(connection, rule, layout, whole_photos=whole_photos)
    written, unreachable = _write_pictures(layout, folder, pictures, on_progress)
    if not written:
        [(reason, _)] = unreachable.most_common(1)
        raise CrackscanError(f"{none_of(len(pictures), 'picture')} could be made: {reason}")
    for path, data in _encode(tool, folder, str(run["fingerprint"].get("model_id")), written).items():
        storage.write_whole(storage.join(folder, path), data)
    tiles = sum(max(1, len(picture.tiles)) for picture in written)
    return Reviewed(folder, tiles, len({picture.name.image_id for picture in written}), unreachable)


def _list_pictures(
    connection: Connection, rule: ReviewRule, layout: Layout, *, whole_photos: bool
) -> list[TaskPicture]:
    chosen = choose_tiles(connection, rule)
    if not chosen:
        raise UsageError(
            f"{layout.url} has no scored tile that nobody has judged: there is nothing to look at. Score photos first."
        )
    return (list_photos if whole_photos else list_tiles)(connection, chosen, rule.threshold)


def _encode(tool: Tool, folder: str, model_id: str, pictures: Sequence[TaskPicture]) -> Mapping[str, bytes]:
    """Return the files of a tool by their paths, the one that comes last at the end."""
    match tool:
        case "label-studio":
            return label_studio_tasks.encode(folder, model_id, pictures)
        case "cvat":
            return cvat_tasks.encode(pictures)
        case "coco":
            return coco_tasks.encode(pictures)


def _clear_folder(folder: str) -> None:
    """Refuse a folder that holds anything but pictures of an interrupted review; remove those."""
    files = storage.list_files(folder) if storage.exists(folder) else []
    heads = storage.read_many([file.url for file in files if _OURS.fullmatch(file.path)])
    for file in files:
        if not _OURS.fullmatch(file.path) or not _is_marked(file.url, next(heads)[:_HEAD_BYTES]):
            raise UsageError(f"{folder} is not empty: it holds {file.path}. Give --out a new folder.")
    for file in files:
        storage.remove(file.url)


def _write_pictures(
    layout: Layout, folder: str, pictures: Sequence[TaskPicture], on_progress: OnProgress
) -> tuple[list[TaskPicture], Counter[str]]:
    """Write the pictures, photo by photo; return those that could be made, and why others are missing."""
    pictures_of = defaultdict[str, list[TaskPicture]](list)
    for picture in pictures:
        pictures_of[picture.name.image_id].append(picture)
    written: list[TaskPicture] = []
    unreachable = Counter[str]()
    archives = {picture.name.image_id: picture.place.tile.archive for picture in pictures}
    for image_id, source in read_source_photos(layout, archives):
        for picture in pictures_of[image_id]:
            try:
                if isinstance(source, str):
                    unreachable[source] += 1
                else:
                    storage.write_whole(storage.join(folder, picture.path), _draw(source, picture))
                    written.append(picture)
            except DataError as error:
                unreachable[str(error)] += 1
            on_progress(len(written) + unreachable.total(), len(pictures))
    return sorted(written, key=lambda picture: picture.number), unreachable


def _draw(pixels: Pixels, picture: TaskPicture) -> bytes:
    """Encode a picture, upright and without what the photo says of itself: a tile pixel for pixel.

    Raises:
        DataError: it reaches over the photo's edge.
    """
    part = cut(pixels, picture.place.place(picture.name.box))
    mark = mark_of("review")
    return encode_png(part, mark) if picture.name.subject == "tile" else encode(part, "jpeg", mark)
