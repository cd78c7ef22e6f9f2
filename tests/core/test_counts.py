"""Numbers with their nouns, and that all messages write them so."""

import ast
import re
from pathlib import Path

import pytest

from pipeline.core.counts import count_of
from tests import ROOT

NOUNS = (
    "annotation", "archive", "attempt", "byte", "card", "check", "CPU", "file", "GPU", "invariant", "job", "mask",
    "match", "member", "part", "photo", "picture", "pixel", "reading", "row", "sample", "scorer", "seed", "source",
    "tensor", "tile", "trial", "value", "worker",
)  # fmt: skip
"""What messages count."""

PLURAL = re.compile(rf"^ (?:(?!of|in|on|at|is|for|and)[a-z]+ )?(?:{'|'.join(NOUNS)})s\b(?!/)")

NEVER_ONE = {
    **dict.fromkeys(["area", "4 * area", "2 * limit", "height_px * width_px"], "pixels over a limit"),
    "len(data)": "bytes before `that begin`",
    **dict.fromkeys(["self.tile_px", "card.tile_px", "model.card.tile_px", "own_px"], "tiles have 16 pixels and more"),
    **dict.fromkeys(["size_bytes", "entry.size_bytes", "entry.stored_bytes", "self._raw.tell()"], "bytes over a limit"),
    **dict.fromkeys(["folder", "source", "kind", "file.url", "size_text", "found", "', '.join(data)"], "a text"),
    **dict.fromkeys(["self._size.height_px", "size.width_px", "layer.block.width_px"], "pixels of an area, a x b"),
    **dict.fromkeys(["raster.height_px", "self.width_px * self.height_px"], "pixels of an area, a x b"),
    "longest": "bytes of a path",
    "down": "pixels of a step",
    "len(expected)": "parts with a gap between them",
    "height_px": "pixels of a photo that is smaller than a tile",
}
"""Expressions that are no number, or never 1, and why."""


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("photo",), "0 photos"),
        (1, ("photo",), "1 photo"),
        (1200, ("tile",), "1,200 tiles"),
        (1, ("photo is", "photos are"), "1 photo is"),
        (2, ("photo is", "photos are"), "2 photos are"),
    ],
)
def test_the_noun_follows_the_number(number: int, words: tuple[str, ...], text: str) -> None:
    """And the verb, if it is given with it."""
    assert count_of(number, *words) == text


def plurals_of(path: Path) -> list[str]:
    """Places where a text puts a plural behind a number that may be 1."""
    found = []
    texts = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.JoinedStr)]
    for text in texts:
        for value, words in zip(text.values, text.values[1:], strict=False):
            if not (isinstance(value, ast.FormattedValue) and isinstance(words, ast.Constant)):
                continue
            behind = str(words.value)
            number = ast.unparse(value.value)
            is_rate = value.format_spec is not None and ast.unparse(value.format_spec).endswith("f'")
            is_constant = number.isupper() or number in NEVER_ONE
            if PLURAL.match(behind) and not (is_rate or is_constant or number.startswith("count_of(")):
                found.append(f"{path.relative_to(ROOT)}:{text.lineno}: {{{number}}}{behind[:30]}")
    return found


def test_no_message_says_1_photos() -> None:
    """Every count in a message goes through `count_of`."""
    paths = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "jobs").rglob("*.py")]
    assert [place for path in sorted(paths) for place in plurals_of(path)] == []


def test_no_page_says_1_photos() -> None:
    """Nor do the templates: they have the filter `counted`."""
    for path in (ROOT / "pipeline" / "reports" / "templates").glob("*.html"):
        found = re.findall(rf"\}}\}} (?:{'|'.join(NOUNS)})s\b.*", path.read_text(encoding="utf-8"))
        assert found == []
