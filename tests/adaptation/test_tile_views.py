"""What the network sees in tiles, and that its last layer makes the network's own logits of it."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from pipeline.adaptation.last_layer import LastLayer, score_views
from pipeline.adaptation.tile_views import CHANGED_VIEWS, describe_tiles
from pipeline.labels.labelled_tiles import read_labelled_tiles
from pipeline.models import engines
from pipeline.models.batching import CRACK
from pipeline.models.model import SHIPPED, load_model
from pipeline.models.network import scoring_network_of
from pipeline.synthetic.drawing import draw_photo


def test_the_last_layer_makes_scores_of_what_the_network_sees(tmp_path: Path) -> None:
    """The first view of each tile scores as in the engine; the others differ; progress ends at the total."""
    for seed in range(4):
        folder = tmp_path / ("Positive" if seed % 2 else "Negative")
        folder.mkdir(exist_ok=True)
        Image.fromarray(draw_photo(224, 224, seed, cracked=seed % 2 == 1).pixels).save(folder / f"{seed}.png")
    tiles, model = read_labelled_tiles([str(tmp_path)]), load_model(SHIPPED)
    network = scoring_network_of(model)
    told: list[tuple[int, int]] = []

    views = describe_tiles(network, model.card, tiles, 0, lambda *step: told.append(step))

    assert told[-1] == (4, 4)
    assert views.features.shape[:2] == (4, 1 + CHANGED_VIEWS)
    classifier = network.body.get_classifier()  # type: ignore[operator]  # every timm network has it
    scores = torch.sigmoid(score_views(LastLayer.of(classifier), views.unchanged(), model.card))[:, 0].numpy()
    photos = [draw_photo(224, 224, seed, cracked=seed % 2 == 1).pixels for seed in (0, 2, 1, 3)]
    expected = np.asarray(engines.make("torch-fp32", 224, model, "cpu")(np.stack(photos)))[:, CRACK]
    np.testing.assert_allclose(scores, expected, atol=1e-4)
    assert float((views.features[:, 1:] - views.features[:, :1]).abs().amax(dim=2).min()) > 0.01
