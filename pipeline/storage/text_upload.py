"""A text file on a remote store: written to local disk line by line, stored when it is closed."""

import io
import tempfile
from collections.abc import Callable
from pathlib import Path


class TextUpload(io.TextIOWrapper):
    """Text that goes where `store` puts it; object stores cannot append.

    Args:
        store: is given the local file with all the text, once.
    """

    def __init__(self, store: Callable[[Path], None]) -> None:
        self._store = store
        self._file = tempfile.NamedTemporaryFile(prefix="crackscan-")  # noqa: SIM115 - closed with this
        super().__init__(self._file, encoding="utf-8", errors="backslashreplace", line_buffering=True)

    def close(self) -> None:
        """Store the text and close; the first time."""
        if self.closed:
            return
        try:
            self.flush()
            self._store(Path(self._file.name))
        finally:
            super().close()
