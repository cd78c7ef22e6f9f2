"""Widths of cracks for people: classes with names and colours, and words; the same in pages, overlays and drawings."""

from typing import Literal, NamedTuple


class WidthClass(NamedTuple):
    """Cracks of about one width."""

    key: str
    """Names it in files: letters, digits, dots and hyphens."""
    label: str
    """Names it for people."""
    colour: str
    """In CSS, as #rrggbb."""
    from_width: float = 0.0
    """Its least width, in its unit; the next class begins where it ends."""


def _make_classes(unit: Literal["mm", "px"], bounds: tuple[str, ...], colours: tuple[str, ...]) -> list[WidthClass]:
    first, last = bounds[0], bounds[-1]
    between = zip(bounds, bounds[1:], colours[1:-1], strict=False)
    return [
        WidthClass(f"{unit}-under-{first}", f"under {first} {unit}", colours[0]),
        *(WidthClass(f"{unit}-{a}-{b}", f"{a} to {b} {unit}", colour, float(a)) for a, b, colour in between),
        WidthClass(f"{unit}-from-{last}", f"{last} {unit} and over", colours[-1], float(last)),
    ]


UNKNOWN = WidthClass("unknown", "width unknown", "#00b4d8")
"""No width could be measured. On pages such lines are dashed, too."""
MM_CLASSES = _make_classes(
    "mm",
    ("0.1", "0.2", "0.3", "0.5", "1.0"),
    ("#0d0887", "#6a00a8", "#b12a90", "#e16462", "#fca636", "#f0f921"),
)
"""The bounds are those that codes and inspection forms name most. The colours grow lighter with the width, so that all
eyes can tell them apart, and wide dark cracks do not swallow them (plasma: Smith and van der Walt, 2015)."""
PX_CLASSES = _make_classes("px", ("2", "4", "8"), ("#0d0887", "#9c179e", "#ed7953", "#f0f921"))
"""Of photos without a scale."""
ALL_CLASSES = (*MM_CLASSES, *PX_CLASSES, UNKNOWN)
"""In the order of a legend."""


def classify(width_px: float | None, width_mm: float | None) -> WidthClass:
    """Return the class of a width: by millimetres where there is a scale, else by pixels.

    Args:
        width_px: None where it is unknown.
        width_mm: None where it, or the scale, is unknown.
    """
    classes, width = (PX_CLASSES, width_px) if width_mm is None else (MM_CLASSES, width_mm)
    return UNKNOWN if width is None else [one for one in classes if one.from_width <= width][-1]


_STATUS_WORDS = {
    "too_thin": "too thin to say (under half a pixel)",
    "not_dark": "no darker than the concrete: filled, lit or efflorescing",
    "blurred": "out of focus",
    "at_border": "too close to the edge of the photo",
}
_SOURCE_WORDS = {
    "given": "given by you",
    "table": "of your table",
    "georeference": "by the map",
    "laser": "by the drone's laser",
    "coarse": "by the autofocus, coarse",
}


def explain_status(width_status: str) -> str:
    """Say why a width is unknown."""
    return _STATUS_WORDS.get(width_status, width_status)


def name_source(scale_source: str) -> str:
    """Say where a scale comes from, in words that follow `scale`."""
    return _SOURCE_WORDS.get(scale_source, scale_source)


def format_width(width_px: float | None, width_mm: float | None) -> str:
    """Write a width in millimetres where there is a scale, else in pixels; `unknown` without a width."""
    if width_mm is not None:
        return f"{width_mm:.2f} mm" if width_mm < 10 else f"{width_mm:.1f} mm"
    return "unknown" if width_px is None else f"{width_px:.1f} px"


def format_length(length_px: float, length_mm: float | None) -> str:
    """Write a length in metres where there is a scale, else in pixels."""
    return f"{length_px:,.0f} px" if length_mm is None else f"{length_mm / 1000:,.2f} m"
