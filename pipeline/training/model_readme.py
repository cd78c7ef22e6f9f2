"""Writes the README of a model: the content of its card in words for people."""

from pipeline.core.counts import count_of
from pipeline.evaluation.metrics import MEASURES
from pipeline.evaluation.operating_point import OVERALL, PREFIX
from pipeline.evaluation.own_calibration import MEASURED as CALIBRATED
from pipeline.evaluation.own_calibration import PREFIX as OWN
from pipeline.models.card import Card, DataSource

TITLE = "# Crack classifier"
"""The first line of every README begins with it."""

BEFORE = "before/"
"""Prefix of the card's metrics of the model that this one was adapted from, on the same tiles."""

LIMITS = (
    "These figures say how well it does on concrete, cracks and cameras like those of its data, and nothing about "
    "others. Thinner or wider cracks, other surfaces and other distances need `crackscan evaluate` on labelled tiles "
    "of your own before its scores are trusted. It does not measure cracks and does not replace an inspection."
)

LEFT_OUT = (
    "Networks were trained by the same recipe on all sources but one and tested on that one, each in turn. The "
    "calibration error after, recall and false alarms are those of a calibration and a threshold fitted to the other "
    "sources alone."
)

EVEN_ODDS = (
    "A score is the probability of a crack at even odds: as many cracked tiles as sound ones. Where a share b of the "
    "tiles is cracked, a score s stands for the probability s b / (s b + (1 - s) (1 - b))."
)


def render_readme(card: Card) -> str:
    """Return the README in Markdown."""
    note = [f"> {card.note}", ""] if card.note else []
    sources = [line for source in card.data for line in _source_lines(source)]
    return "\n".join(
        [
            f"{TITLE} {card.model_id}",
            "",
            *note,
            _purpose(card),
            "",
            "## How it was made",
            "",
            "```",
            str(card.training["command"]),
            "```",
            "",
            *sources,
            "",
            *_reached_section(card),
            "",
            *_calibrated_section(card),
            *_left_out_section(card),
            LIMITS,
            "",
            *_int8_section(card),
            "`card.json` holds the same and all settings for programs; `model.safetensors` holds the weights.",
            "",
        ]
    )


def _reached_section(card: Card) -> list[str]:
    """Return the figures of held-out tiles; those of an adapted model beside those of its old one."""
    names = [name.replace("_", " ") for name in MEASURES]
    values = [_format(card.metrics.get(name)) for name in MEASURES]
    if "from_model" not in card.training:
        rows = [f"| {name} | {value} |" for name, value in zip(names, values, strict=True)]
        return ["## What it reached on the validation tiles", "", "| measure | value |", "|---|---|", *rows]
    old = [_format(card.metrics.get(BEFORE + name)) for name in MEASURES]
    return [
        "## What it reached on photos that it did not learn from",
        "",
        f"Its last layer was adapted; the old one is {card.training['from_model']}. Small differences may be chance.",
        "",
        "| measure | old model | this one |",
        "|---|---|---|",
        *(f"| {name} | {before} | {value} |" for name, before, value in zip(names, old, values, strict=True)),
    ]


def _calibrated_section(card: Card) -> list[str]:
    """Return the figures of a calibration on labels of the user's own; without one, nothing."""
    if "calibrated_from" not in card.training:
        return []
    rows = []
    for name in CALIBRATED:
        before, after, low, high = (
            _format(card.metrics.get(f"{OWN}{name}/{part}")) for part in ("before", "after", "gain_low", "gain_high")
        )
        rows.append(f"| {name.replace('_', ' ')} | {before} | {after} | {low} to {high} |")
    own = (
        f"Calibration and threshold of model {card.training['calibrated_from']} were fitted again to "
        f"{card.metrics.get(f'{OWN}tiles')} tiles of {card.metrics.get(f'{OWN}photos')} photos; the network stayed. "
        "All other figures here are those of the old calibration and threshold. Each tile was judged by a fit to tiles "
        "of other photos; if an interval includes zero, the difference may be chance."
    )
    return [
        "## What another calibration changed",
        "",
        own,
        "",
        "| measure | before | after | after less before, 95 % interval |",
        "|---|---|---|---|",
        *rows,
        "",
    ]


def _left_out_section(card: Card) -> list[str]:
    """Return the results of the trials, a table row for each left-out source; without trials, nothing."""
    found = [name.removeprefix(PREFIX).split("/") for name in card.metrics if name.startswith(PREFIX)]
    sources = dict.fromkeys("/".join(parts[:-1]) for parts in found if len(parts) > 1)
    if not sources:
        return []
    names = list(dict.fromkeys(parts[-1] for parts in found if len(parts) > 1))
    rows = [[source, *(_format(card.metrics.get(f"{PREFIX}{source}/{name}")) for name in names)] for source in sources]
    known = [name for name in OVERALL if f"{PREFIX}{name}" in card.metrics]
    overall = [f"{name.replace('_', ' ')} {_format(card.metrics[f'{PREFIX}{name}'])}" for name in known]
    return [
        "## What it reached on sources it was not trained on",
        "",
        LEFT_OUT,
        "",
        f"| left out | {' | '.join(name.replace('_', ' ') for name in names)} |",
        f"|---|{'---|' * len(names)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        f"In the mean: {', '.join(overall)}.",
        "",
        EVEN_ODDS,
        "",
    ]


def _int8_section(card: Card) -> list[str]:
    """Return the cost of the int8 network; without one, nothing."""
    int8 = card.int8
    if int8 is None:
        return []
    return [
        "## In eight-bit integers",
        "",
        "`int8.xml` and `int8.bin` hold the network quantised for CPUs.",
        *(["These figures are the old model's; the last layer is in floats."] if "from_model" in card.training else []),
        f"On {int8.tiles:,} held-out tiles its AUC is {_format(int8.auc)}, in 32-bit floats {_format(int8.auc_float)};",
        f"crack scores move by {int8.mean_shift:.4f} in the mean and {int8.greatest_shift:.2f} at most.",
        "",
    ]


def _purpose(card: Card) -> str:
    return (
        f"Tells cracked concrete from sound concrete, tile by tile: {card.architecture}, {card.tile_px} x "
        f"{card.tile_px} pixels, started from {card.training['weights_from']}. A score is the probability of a "
        f"crack; from {card.threshold} on a tile counts as cracked."
        + (
            ""
            if card.dense_stride is None
            else f" Crack maps tell where it is, every {count_of(card.dense_stride, 'pixel')}."
        )
    )


def _source_lines(source: DataSource) -> list[str]:
    rights = {"Licence": source.licence, "Source": source.attribution}
    return [
        f"* {source.role}: {source.name}, {count_of(source.tiles, 'tile')}, {source.cracked:,} of them cracked",
        *(f"  {word}: {text}" for word, text in rights.items() if text is not None),
    ]


def _format(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "not defined"
