"""The README of a model: all that people need to decide whether to trust it."""

from pipeline.training.config import QUICK
from pipeline.training.model_readme import EVEN_ODDS, LIMITS, render_readme
from tests.training.test_model_card import EXPECTATION, card


def test_the_readme_has_a_row_for_each_left_out_source() -> None:
    """With trials it has a table, the figures of the threshold, and the formula for another base rate."""
    text = render_readme(card(EXPECTATION))
    for line in ("| left out | auc | recall |", "| data/uav | 0.9500 | 0.7500 |", "| deck | 0.8500 | 0.2500 |"):
        assert f"\n{line}\n" in text
    mean = "In the mean: false alarm rate 0.0120, recall 0.5000, base rate 0.0300, precision at base rate 0.5625."
    assert mean in text
    assert EVEN_ODDS in text
    assert EVEN_ODDS not in render_readme(card())


def test_the_readme_says_what_people_need() -> None:
    """It has paragraphs for note, command, data with its rights, figures and limits."""
    text = render_readme(card())
    for words in ("> Interim.", "Licence: CC BY 4.0", "Source: Somebody 2026", "| auc | 1.0000 |", LIMITS):
        assert words in text
    assert "crackscan train tiles/train --val tiles/val --backbone" in text
    assert f"--epochs {QUICK.epochs} --head-epochs {QUICK.head_epochs} --epoch-tiles {QUICK.epoch_tiles}" in text
