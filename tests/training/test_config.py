"""Training settings: the schedule, the fit to the data, and settings that cannot work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import UsageError
from pipeline.training.config import PRESETS, Hyperparameters, TrainConfig

CONFIG = Hyperparameters(epochs=4, head_epochs=2, learning_rate=1e-3, head_learning_rate=5e-3, warm_up=0.25)


def test_the_head_is_trained_first() -> None:
    """The first `head_epochs` epochs train only the head, at its own learning rate."""
    assert [CONFIG.phase(epoch) for epoch in range(CONFIG.total_epochs)] == ["head"] * 2 + ["all"] * 4
    assert {CONFIG.learning_rate_at(epoch, 0.5) for epoch in (0, 1)} == {5e-3}


def test_the_learning_rate_rises_and_falls() -> None:
    """It starts at zero, peaks after the warm-up, is half the peak half-way down, and ends at zero."""
    assert CONFIG.learning_rate_at(2, 0) == 0
    assert CONFIG.learning_rate_at(2, 0.5) == pytest.approx(0.5e-3)
    assert CONFIG.learning_rate_at(3, 0) == pytest.approx(1e-3)
    assert CONFIG.learning_rate_at(4, 0.5) == pytest.approx(0.5e-3)
    assert CONFIG.learning_rate_at(5, 1) == pytest.approx(0)


@given(tiles=st.integers(1, 500), batch_size=st.integers(1, 64), epoch_tiles=st.none() | st.integers(1, 600))
def test_fitted_epochs_and_batches_are_no_larger_than_the_data(
    tiles: int, batch_size: int, epoch_tiles: int | None
) -> None:
    """Any data gives at least one full batch, and no epoch takes more tiles than there are."""
    fitted = Hyperparameters(batch_size=batch_size, epoch_tiles=epoch_tiles).fit_to(tiles)
    assert fitted.steps >= 1
    assert fitted.steps * fitted.batch_size <= min(tiles, epoch_tiles or tiles)


@pytest.mark.parametrize(
    ("settings", "option"),
    [
        ({"epochs": 0, "head_epochs": 0}, "--epochs"),
        ({"batch_size": 0}, "--batch-size"),
        ({"epoch_tiles": 0}, "--epoch-tiles"),
        ({"learning_rate": 0.0}, "--learning-rate"),
        ({"learning_rate": float("nan")}, "--learning-rate"),
    ],
)
def test_settings_that_cannot_work_name_their_option(settings: dict[str, float], option: str) -> None:
    """A setting that cannot work raises UsageError, which names its option."""
    with pytest.raises(UsageError, match=option):
        Hyperparameters(**settings)  # type: ignore[arg-type]  # the fields differ in type


def test_quick_is_quicker_than_standard() -> None:
    """The presets differ in how much they train."""
    assert PRESETS["quick"].epochs < PRESETS["standard"].epochs
    assert (PRESETS["quick"].epoch_tiles or 0) < (PRESETS["standard"].epoch_tiles or 0)


def test_checkpoints_are_in_the_model_folder_by_default() -> None:
    """Without `storage` they are below the model's folder."""
    assert TrainConfig(("tiles",), "/models/a").checkpoints == "file:///models/a/checkpoints"
    assert TrainConfig(("tiles",), "/models/a", storage="/elsewhere").checkpoints == "file:///elsewhere"
