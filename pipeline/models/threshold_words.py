"""Where a model's threshold comes from, and what it costs, in words for people.

A card names figures of sources left out of training as `evaluation.operating_point` writes them.
"""

import re
from collections.abc import Mapping
from typing import Any

_ASKED_FOR = re.compile(r"--false-alarms[ =]([0-9.]+)")
_AT_5_PERCENT = re.compile(r"left_out/.+/recall_at_5_percent_false_alarms")


def describe_threshold(card: Mapping[str, Any]) -> list[str]:
    """Say where the threshold of a card comes from, what it cost, and what another would; nothing if the card does not.

    Args:
        card: as in `card.json` or `run.json`; fields may be missing.
    """
    metrics, sentences = card.get("metrics", {}), []
    asked_for = _ASKED_FOR.search(str(card.get("training", {}).get("command", "")))
    if asked_for and metrics.get("left_out/recall") is not None:
        share = _percent(float(asked_for[1]))
        sentences.append(f"It was chosen on trials: {share} of the sound tiles should raise a false alarm.")
    sentences += _describe_cost(metrics)
    return sentences


def _describe_cost(metrics: Mapping[str, float | None]) -> list[str]:
    recall, false_alarms = metrics.get("left_out/recall"), metrics.get("left_out/false_alarm_rate")
    if recall is None or false_alarms is None:
        return []
    told = (
        f"On sources that neither network nor threshold had seen it found {_percent(recall)} of the cracked tiles and "
        f"called {_percent(false_alarms)} of the sound ones cracked."
    )
    lower = [value for name, value in metrics.items() if _AT_5_PERCENT.fullmatch(name) and value is not None]
    if not lower:
        return [told]
    found = f"{_percent(min(lower))} to {_percent(max(lower))}" if len(lower) > 1 else _percent(lower[0])
    another = f"One that calls 5 % of the sound tiles cracked would have found {found}."
    return [told, f"{another} A lower --threshold finds more, and raises more false alarms."]


def _percent(share: float) -> str:
    percent = 100 * share
    return f"{percent:.2g} %" if percent < 10 else f"{percent:.0f} %"
