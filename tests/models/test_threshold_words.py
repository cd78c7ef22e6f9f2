"""Where a threshold comes from, in words."""

from pipeline.models.model import SHIPPED_MODEL, load_card
from pipeline.models.threshold_words import describe_threshold


def test_the_card_of_the_shipped_model_is_explained() -> None:
    """With the figures of its card: what it was chosen for, what it cost, and what another would."""
    card = load_card(SHIPPED_MODEL)
    assert describe_threshold({"metrics": card.metrics, "training": card.training}) == [
        "It was chosen on trials: 2.5 % of the sound tiles should raise a false alarm.",
        (
            "On sources that neither network nor threshold had seen it found 90 % of the cracked tiles and called "
            "7.1 % of the sound ones cracked."
        ),
        (
            "One that calls 5 % of the sound tiles cracked would have found 79 % to 98 %. A lower --threshold finds "
            "more, and raises more false alarms."
        ),
    ]


def test_a_card_without_trials_says_nothing() -> None:
    """Nor does one that has only a threshold."""
    assert describe_threshold({"threshold": 0.5, "metrics": {"auc": 1.0}, "training": {"command": "x"}}) == []
    assert describe_threshold({}) == []
