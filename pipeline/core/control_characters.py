"""Characters that steer a terminal or turn a line around, made visible.

Names of photos come from anywhere: one may colour the terminal, set its title, or show its end before its beginning.
What people read shows such characters as escapes; data that programs read keeps them.
"""

import json
import re
from typing import Any

_BEYOND_C0 = r"\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
_STEERING = re.compile(rf"[\x00-\x1f{_BEYOND_C0}]")
"""C0, DEL and C1, separators of lines and paragraphs, overrides and isolates of the direction of writing (bidi), and
halves of surrogates, which no stream takes."""
_STEERING_IN_JSON = re.compile(f"[{_BEYOND_C0}]")
"""Those that `json.dumps` leaves as they are."""

_UNDECODED = range(0xDC80, 0xDD00)
"""Surrogates that stand for the bytes 0x80 to 0xff of a name that is not UTF-8."""

_NAMED = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


def escape_controls(text: str) -> str:
    r"""Write control characters as `\n`, `\x1b` or `\u202e`, and bytes that are not UTF-8 as `\xff`."""
    return _STEERING.sub(lambda found: _escape(found[0]), text)


def dump_json(value: object, **options: Any) -> str:  # noqa: ANN401 - of json.dumps
    r"""Write JSON in letters of any script, but control characters as `\u202e`: the same value for programs."""
    text = json.dumps(value, ensure_ascii=False, **options)
    return _STEERING_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(character: str) -> str:
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    if code in _UNDECODED:
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
