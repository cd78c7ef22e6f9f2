"""`plan/moves.json`: where the archives and folders of a dataset lie now, if not where they were listed.

A photo's address and id come from where its archive was first listed and never change. Reading follows the moves.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from pipeline import storage
from pipeline.core.errors import DatasetError, NotFoundError
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import json_bytes


@dataclass(frozen=True)
class Moves:
    """Places by address, both canonical URLs."""

    archives: Mapping[str, str] = field(default_factory=dict)
    """Archives that lie elsewhere now."""
    folders: Mapping[str, str] = field(default_factory=dict)
    """Folders whose loose photos, also those in folders below, lie elsewhere now."""

    def place_of(self, address: str) -> str:
        """Return where an archive or folder lies."""
        return self.archives.get(address) or _follow(self.folders, address)

    def address_of_archive(self, place: str) -> str:
        """Return the address of the archive at a place."""
        return {to: address for address, to in self.archives.items()}.get(place, place)

    def address_of_folder(self, place: str) -> str:
        """Return the address of the folder at a place."""
        return _follow({to: address for address, to in self.folders.items()}, place)


NO_MOVES = Moves()


def read_moves(layout: Layout) -> Moves:
    """Read where archives and folders lie now.

    Raises:
        DatasetError: the file is damaged.
    """
    try:
        found = json.loads(storage.read_bytes(layout.moves))
        return Moves(dict(found["archives"]), dict(found["folders"]))
    except NotFoundError:
        return NO_MOVES
    except (ValueError, KeyError, TypeError) as error:
        damage = f"{layout.moves} is damaged: {error!r}."
        raise DatasetError(f"{damage} Remove it, and run `crackscan relocate` again.") from error


def write_moves(layout: Layout, moves: Moves) -> None:
    """Write where archives and folders lie now."""
    storage.write_whole(layout.moves, json_bytes({"archives": moves.archives, "folders": moves.folders}))


def covers(folder: str, url: str) -> bool:
    """Tell whether a URL is a folder, or lies below it."""
    return f"{url}/".startswith(f"{folder}/")


def _follow(moved: Mapping[str, str], url: str) -> str:
    """Replace the longest folder of `moved` that covers a URL."""
    folder = max((folder for folder in moved if covers(folder, url)), key=len, default=None)
    return url if folder is None else moved[folder] + url.removeprefix(folder)
