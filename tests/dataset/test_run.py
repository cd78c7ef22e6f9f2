"""What moves a score stays what it was: a dataset refuses other settings, and says where its model is."""

from pathlib import Path

import pytest

from pipeline import storage
from pipeline.core.errors import UsageError
from pipeline.dataset.layout import Layout
from pipeline.dataset.run import check_fingerprint, json_bytes

FINGERPRINT = {"model_id": "aaa", "tile_px": 224}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            None,
            r"Its model is the one that crackscan 0\.4\.0 ships: copy its pipeline/models/shipped and give --model\.$",
        ),
        ("file:///models/ours", r"or another --out\.$"),
    ],
)
def test_a_dataset_of_an_older_release_names_its_model(model: str | None, expected: str, tmp_path: Path) -> None:
    """The package has one model; another release has another."""
    layout = Layout(storage.canonical(str(tmp_path)))
    run = {"fingerprint": FINGERPRINT, "model": model, "software": {"crackscan": "0.4.0"}}
    storage.write_whole(layout.run, json_bytes(run))
    check_fingerprint(layout, FINGERPRINT)
    with pytest.raises(UsageError, match=expected):
        check_fingerprint(layout, FINGERPRINT | {"model_id": "bbb"})
    with pytest.raises(UsageError, match=r"tile_px is 224 there and 128 here.*or another --out\.$"):
        check_fingerprint(layout, FINGERPRINT | {"tile_px": 128})
