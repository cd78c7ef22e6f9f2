"""The model card: reading returns what was written, and errors say what is wrong with a card."""

import json
from dataclasses import MISSING, fields, replace

import pytest

from pipeline.core.errors import ModelError
from pipeline.models import card
from pipeline.models.card import Calibration, Card, DataSource, Places

CARD = Card(
    architecture="tf_efficientnet_lite0",
    tile_px=224,
    overlap=0.25,
    mean=(0.5, 0.4, 0.3),
    std=(0.5, 0.5, 0.25),
    threshold=0.5,
    calibration=Calibration(temperature=1.5, bias=-0.25),
    domain_threshold=None,
    metrics={"auc": 0.75, "precision": None, "n": 4},
    data=(DataSource("tiles/train", "training", 100, 40, "CC BY 4.0", "Özgenel 2019"),),
    training={"seed": 0, "augment": "standard"},
    software={"torch": "2.9"},
    note="Interim.",
    weights_sha256="ab" * 32,
)


def broken(**changes: object) -> str:
    """Return the card's JSON with fields changed; `...` removes a field."""
    found = json.loads(CARD.to_json()) | changes
    return json.dumps({name: value for name, value in found.items() if value is not ...})


def test_a_card_reads_back_as_it_was_written() -> None:
    """Writing and reading loses nothing, names beyond ASCII included."""
    assert card.parse(CARD.to_json(), "card.json") == CARD


@pytest.mark.parametrize("name", [field.name for field in fields(Card)])
def test_every_field_is_checked(name: str) -> None:
    """No field may be a boolean, so that a field added to the card needs a type."""
    with pytest.raises(ModelError, match=f"^card.json: {name} is True; expected "):
        card.parse(broken(**{name: True}), "card.json")


def test_places_are_read_and_move_the_model_id() -> None:
    """They move scores; a card from before has none, and its id is what it was."""
    places = replace(CARD, dense_stride=2, places=Places(0.25, -1.0))
    assert card.parse(places.to_json(), "card.json") == places
    assert card.parse(broken(places=...), "card.json").places is None
    assert len({CARD.model_id, places.model_id, replace(places, places=Places(0.5, -1.0)).model_id}) == 3
    with pytest.raises(ModelError, match="is no Places; expected the fields from_logit, side_px, to_logit, weight"):
        card.parse(broken(places={"weight": 0.5}), "card.json")


def test_a_larger_picture_has_a_format_of_its_own() -> None:
    """Programs from before refuse it; cards without one keep their format and their id, which is that of 0.6.0."""
    before = replace(CARD, dense_stride=2, places=Places(0.25, -1.0))
    larger = replace(before, places=Places(0.25, -1.0, side_px=320))
    assert [json.loads(each.to_json())["format_version"] for each in (CARD, before, larger)] == [1, 1, 2]
    assert card.parse(larger.to_json(), "card.json") == larger
    older = json.loads(before.to_json())
    del older["places"]["side_px"], older["places"]["to_logit"]
    assert card.parse(json.dumps(older), "card.json") == before
    assert before.model_id == "1f51648b9474" != larger.model_id


def test_a_card_from_before_int8_can_be_read() -> None:
    """It describes a model that was not quantised."""
    assert card.parse(broken(int8=...), "card.json").int8 is None


@pytest.mark.parametrize("name", [field.name for field in fields(Card) if field.default is MISSING])
def test_a_missing_field_is_named(name: str) -> None:
    """The error for a card without one of its fields names the field."""
    with pytest.raises(ModelError, match=f"^card.json has no field {name}; the card is incomplete.$"):
        card.parse(broken(**{name: ...}), "card.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile_px": "224"}, "card.json: tile_px is '224'; expected int."),
        ({"threshold": True}, "card.json: threshold is True; expected int or float."),
        ({"note": 3}, "card.json: note is 3; expected str or null."),
        ({"mean": [0.5]}, "card.json: mean is [0.5]; expected three numbers, one a channel."),
        ({"calibration": {}}, "card.json: {} is no Calibration; expected the fields bias, temperature."),
        (
            {"format_version": 3},
            "card.json has format 3; this crackscan reads up to 2. Upgrade crackscan.",
        ),
        ({"format_version": ...}, "card.json is no model card; expected a JSON object with format_version."),
    ],
)
def test_a_wrong_card_says_what_is_wrong(changes: dict[str, object], message: str) -> None:
    """The message names the file, the field, its value and what was expected."""
    with pytest.raises(ModelError) as caught:
        card.parse(broken(**changes), "card.json")
    assert str(caught.value) == message


def test_a_card_that_is_no_json_is_refused() -> None:
    """A file cut short is damaged."""
    with pytest.raises(ModelError, match=r"^card.json is damaged: it is not JSON"):
        card.parse(CARD.to_json()[:-20], "card.json")


def test_the_model_id_follows_the_scores() -> None:
    """A field that moves a score changes the id; other fields do not."""
    moved = [
        replace(CARD, calibration=Calibration()),
        replace(CARD, tile_px=256),
        replace(CARD, weights_sha256="0" * 64),
    ]
    assert len({CARD.model_id, *(other.model_id for other in moved)}) == 4
    assert replace(CARD, note=None, threshold=0.9, overlap=0.0).model_id == CARD.model_id
    assert len(CARD.model_id) == 12
