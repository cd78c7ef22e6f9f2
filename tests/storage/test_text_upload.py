"""A text file for a store that cannot append: it is stored once, when it is closed."""

from pathlib import Path

import pytest

from pipeline.core.errors import StorageError
from pipeline.storage.files import TextUpload


def test_it_is_stored_once_with_all_its_text() -> None:
    """A second `close` stores nothing; the local file is removed."""
    stored = list[str]()
    places = list[Path]()

    def store(path: Path) -> None:
        places.append(path)
        stored.append(path.read_text(encoding="utf-8"))

    file = TextUpload(store)
    file.write("one\ntwo")
    file.close()
    file.close()

    assert stored == ["one\ntwo"]
    assert not places[0].exists()


def test_it_is_closed_even_if_it_cannot_be_stored() -> None:
    """`close` raises the failure once, and removes the local file."""
    places = list[Path]()

    def refuse(path: Path) -> None:
        places.append(path)
        raise StorageError("s3://bucket/log could not be written: permission was denied.")

    file = TextUpload(refuse)
    with pytest.raises(StorageError):
        file.close()

    assert file.closed
    assert not places[0].exists()
