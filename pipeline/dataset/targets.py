"""What a command may write over: the one rule of every command that writes.

A place that is free is written. A file that the same command wrote earlier, as its content says, is replaced. Anything
else is refused before the work begins, unless the user says `--overwrite`. And nothing replaces an input, a dataset and
its files, a folder, or a file of another kind.

Each command says with a `Product` what it writes, and how to tell that a file is its own.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from pipeline import __version__, storage
from pipeline.core.errors import DatasetError, StorageError, UsageError
from pipeline.dataset.commit_log import read_table
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import read_run
from pipeline.storage.file_kinds import HEAD_BYTES, TEXTS, WORDS, Kind, recognise


@dataclass(frozen=True)
class Product:
    """A kind of file that a command writes."""

    command: str
    """The command's name, for messages."""
    kind: Kind
    is_ours: Callable[[str, bytes], bool]
    """Tells from the URL and the first bytes of a file of this kind whether the command wrote it."""


@dataclass(frozen=True)
class Target:
    """A file that a command is about to write."""

    url: str
    """Canonical URL."""
    product: Product
    overwrite: bool | None = None
    """Whether to replace a file that the command did not write; None if it has no such option."""
    option: str = "--out"
    """The option that names the place."""

    @property
    def way_out(self) -> str:
        """What the user can do if only another place helps."""
        return f"Give another {self.option}."


def mark_of(command: str) -> str:
    """Return the mark by which a command recognises its files; the version is for people."""
    return f"crackscan {command} {__version__}"


def has_mark(command: str, before: bytes) -> Callable[[str, bytes], bool]:
    """Return how to recognise files that begin with a mark, wherever it is among the first bytes.

    Args:
        command: the command that writes the mark.
        before: the bytes that stand before it.
    """
    return lambda _url, head: before + f"crackscan {command} ".encode() in head


def check_targets(
    targets: Sequence[Target], datasets: Sequence[Layout] = (), inputs: Collection[str] = frozenset()
) -> None:
    """Refuse to write what must not be written, before any work.

    Args:
        targets: the files to write.
        datasets: those that the command reads.
        inputs: canonical URLs of other files that it reads.

    Raises:
        UsageError: says which target is refused, and why.
        StorageError: it cannot be told what is there.
    """
    for target in {storage.parent(target.url): target for target in reversed(targets)}.values():
        check_place(target.url, datasets, target.option)
    for target in targets:
        _check(target, datasets, inputs)


def check_folder(url: str, datasets: Sequence[Layout] = (), option: str = "--out") -> None:
    """Refuse a folder to write into that is a file, or that lies in a dataset, or is one.

    Raises:
        UsageError: says what is there.
    """
    check_place(url, datasets, option)
    _refuse_file(url, f"Give another {option}.")


def check_place(url: str, datasets: Sequence[Layout] = (), option: str = "--out") -> None:
    """Refuse a place in a dataset, below a file, or where nothing can be written.

    Args:
        url: of a file or folder to write.
        datasets: those that the command reads; others are found by their `run.json`.
        option: the option that names the place.

    Raises:
        UsageError: says what is there.
    """
    way_out = f"Give another {option}."
    above = list(_folders_above(url))
    known = [layout.url for layout in datasets if f"{url}/".startswith(f"{layout.url}/")]
    for dataset in [*known, *filter(_is_dataset, [url, *above])]:
        where = "is a dataset" if url == dataset else f"lies in the dataset {dataset}"
        raise UsageError(f"{url} {where}, which holds its own files only. {way_out}")
    if not url.startswith(storage.LOCAL):
        if above:
            _refuse_file(above[0], way_out)
        return
    nearest = next(folder for folder in above if storage.exists(folder))
    _refuse_file(nearest, way_out)
    if not os.access(storage.local_path(nearest), os.W_OK | os.X_OK):
        raise UsageError(f"{nearest} cannot be written to: it is read-only for you. {way_out}")


def check_dataset_place(layout: Layout) -> None:
    """Refuse a place for a dataset that holds something else; an existing dataset and an empty folder are right.

    Raises:
        UsageError: says what is there.
    """
    if _is_dataset(layout.url) or storage.exists(layout.images(0)):
        return
    check_folder(layout.url)
    if not storage.exists(layout.url):
        return
    if (
        foreign := next((file.path for file in storage.find_files(layout.url) if not _is_of_run(file.path)), None)
    ) is None:
        return
    raise UsageError(
        f"{layout.url} is no dataset, and not empty: it holds {foreign}. Give --out a new folder, which may lie in it."
    )


def _is_of_run(path: str) -> bool:
    """Tell whether a file may come from a run that ended before the dataset was begun."""
    return path in {"lease", "run-report.json"} or path.startswith("logs/") or storage.is_hidden(path)


def _check(target: Target, datasets: Sequence[Layout], inputs: Collection[str]) -> None:
    url, product = target.url, target.product
    if storage.is_folder(url):
        raise UsageError(
            f"{url} is a folder; expected the name of a file to write, such as {url}/{product.command}.{product.kind}."
        )
    if not storage.exists(url):
        return
    for layout in datasets:
        if _is_input(layout, url):
            raise UsageError(f"{url} is an input of the dataset {layout.url}, and never replaced. {target.way_out}")
    if url in inputs:
        raise UsageError(f"{url} is an input of this command, and never replaced. {target.way_out}")
    head = storage.read_ranges(url, [(0, HEAD_BYTES)])[0]
    found = recognise(head, storage.name(url))
    if (found == product.kind or {found, product.kind} <= TEXTS) and product.is_ours(url, head):
        return
    if not _may_replace(product.kind, found):
        raise UsageError(
            f"{url} is there already: {WORDS[found]}, which never becomes {WORDS[product.kind]}. {target.way_out}"
        )
    if not target.overwrite:
        hint = "" if target.overwrite is None else ", or --overwrite"
        raise UsageError(
            f"{url} is there already: {WORDS[found]} that `crackscan {product.command}` did not write. "
            f"Give another {target.option}{hint}."
        )


def _may_replace(kind: Kind, found: Kind) -> bool:
    """Tell whether the user may replace a file of one kind by one of another: the same, or a text without a kind."""
    is_alike = {kind, found} <= {"json", "geojson"}
    return found in {kind, "empty"} or is_alike or (found == "text" and kind in TEXTS)


def _is_input(layout: Layout, url: str) -> bool:
    """Tell whether a file is an archive of a dataset, or one of its loose photos."""
    if storage.exists(layout.plan(url)):
        return True
    for folder in _folders_above(url):
        if storage.exists(plan := layout.plan(folder)):
            photos = read_table(plan)["image"]
            if pc.any(pc.equal(photos, url.removeprefix(f"{folder}/"))).as_py():
                return True
    return False


def _is_dataset(url: str) -> bool:
    """Tell whether a folder is a dataset; False where nobody may look."""
    layout = Layout(url)
    with suppress(StorageError):
        if storage.exists(layout.run):
            try:
                return bool(read_run(layout))
            except DatasetError:  # damaged, or another program's
                return storage.exists(layout.images(0))
    return False


def _refuse_file(url: str, way_out: str) -> None:
    if storage.exists(url) and not storage.is_folder(url):
        kind = recognise(storage.read_ranges(url, [(0, HEAD_BYTES)])[0], storage.name(url))
        raise UsageError(f"{url} is {WORDS[kind]}; expected a folder. {way_out}")


def _folders_above(url: str) -> Iterator[str]:
    """Yield the folders above a place, the nearest first, up to the root or the bucket."""
    if url.startswith(storage.LOCAL):
        yield from (storage.LOCAL + str(folder) for folder in Path(url.removeprefix(storage.LOCAL)).parents)
        return
    protocol, _, path = url.partition("://")
    parts = path.split("/")
    yield from (f"{protocol}://{'/'.join(parts[:end])}" for end in range(len(parts) - 1, 0, -1) if any(parts[:end]))
