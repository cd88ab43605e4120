from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capframe import Registry
from capframe.errors import OptionError

DEFAULTS = ("checkpoint", "early-stopping", "reduce-lr")


def scale_of(model: Any) -> float:
    return float(model.get_weights()[0][0, 0])


def driven(
    registry: Registry,
    folder: Path,
    losses: Iterable[float | dict[str, float]],
    *callbacks: str | tuple[str, dict[str, Any]],
) -> tuple[Any, list[float]]:
    """Call callbacks as training does, with given losses; the weight is the number of the epoch, from 1.

    Returns:
        The model, and the learning rate of each epoch up to the one that stopped training.
    """
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.Adam(0.8))
    model.optimizer.build(model.trainable_variables)
    specs = [(spec, {}) if isinstance(spec, str) else spec for spec in callbacks]
    built = [registry.create("callback", name, options).build() for name, options in specs]
    chain = keras.callbacks.CallbackList(built, model=model, epochs=99, steps=1, run_folder=str(folder))
    model.stop_training = False
    rates = []
    chain.on_train_begin()
    for epoch, loss in enumerate(losses):
        chain.on_epoch_begin(epoch)
        rates.append(float(model.optimizer.learning_rate))
        model.set_weights([np.full((1, 1), epoch + 1, np.float32)])
        chain.on_epoch_end(epoch, dict(loss) if isinstance(loss, dict) else {"loss": 9.0, "val_loss": loss})
        if model.stop_training:
            break
    chain.on_train_end()
    return model, rates


def saved_scale(path: Path) -> float:
    import keras

    return scale_of(keras.models.load_model(path))


def test_the_lowest_validation_loss_is_what_the_checkpoint_holds(registry: Registry, tmp_path: Path) -> None:
    driven(registry, tmp_path, [3.0, 2.0, 2.5, 2.0, 4.0], "checkpoint")
    assert saved_scale(tmp_path / "best_model.keras") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["best_model.keras"]


def test_the_checkpoint_is_written_again_only_for_a_lower_loss(registry: Registry, tmp_path: Path) -> None:
    written = []
    for losses in ([3.0], [3.0, 4.0], [3.0, 3.0], [3.0, 4.0, 2.9]):
        driven(registry, tmp_path, losses, "checkpoint")
        written.append(saved_scale(tmp_path / "best_model.keras"))
    assert written == [1, 1, 1, 3]


def test_a_checkpoint_that_serves_twice_starts_anew(registry: Registry, tmp_path: Path) -> None:
    import keras

    checkpoint = registry.create("callback", "checkpoint").build()
    for run, loss in (("first", 1.0), ("second", 5.0)):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        (tmp_path / run).mkdir()
        chain = keras.callbacks.CallbackList([checkpoint], model=model, run_folder=str(tmp_path / run))
        chain.on_train_begin()
        chain.on_epoch_end(0, {"val_loss": loss})
        assert (tmp_path / run / "best_model.keras").is_file()


def test_a_loss_that_is_no_number_is_not_kept(registry: Registry, tmp_path: Path) -> None:
    driven(registry, tmp_path, [float("nan"), 5.0, float("nan")], "checkpoint")
    assert saved_scale(tmp_path / "best_model.keras") == 2


def test_the_checkpoint_may_have_another_name(registry: Registry, tmp_path: Path) -> None:
    driven(registry, tmp_path, [1.0], ("checkpoint", {"filename": "mine.keras"}))
    assert saved_scale(tmp_path / "mine.keras") == 1


@pytest.mark.parametrize("filename", ["model.h5", "model", "", "../model.keras", "a/b.keras"])
def test_a_name_that_is_no_keras_file_in_the_folder_is_refused_at_once(
    registry: Registry, filename: str
) -> None:
    with pytest.raises(OptionError, match="callback 'checkpoint' cannot take filename="):
        registry.create("callback", "checkpoint", {"filename": filename}).build()


def test_training_stops_after_five_epochs_without_improvement(registry: Registry, tmp_path: Path) -> None:
    model, rates = driven(registry, tmp_path, [3.0, 2.0, *[2.5] * 20], "early-stopping")
    assert len(rates) == 2 + 5
    assert model.stop_training


def test_training_goes_on_while_the_loss_falls(registry: Registry, tmp_path: Path) -> None:
    falling = [3.0 - 0.1 * epoch for epoch in range(20)]
    model, rates = driven(registry, tmp_path, falling, "early-stopping")
    assert len(rates) == 20
    assert not model.stop_training


def test_patience_and_least_improvement_are_options(registry: Registry, tmp_path: Path) -> None:
    losses = [3.0, 2.95, 2.91, 2.0, 2.0, 2.0, 2.0]
    patient = ("early-stopping", {"patience": 2, "min_delta": 0.2})
    assert len(driven(registry, tmp_path, losses, patient)[1]) == 3
    assert len(driven(registry, tmp_path, losses, ("early-stopping", {"patience": 2}))[1]) == 6


def test_the_learning_rate_halves_on_a_plateau(registry: Registry, tmp_path: Path) -> None:
    losses = [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]
    _, rates = driven(registry, tmp_path, [*losses, 1.0], "reduce-lr")
    # Two epochs without improvement are endured, and the next one runs at half the rate.
    assert rates == pytest.approx([0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2, 0.2, 0.1])


def test_the_learning_rate_has_a_floor_and_a_factor(registry: Registry, tmp_path: Path) -> None:
    slow = ("reduce-lr", {"factor": 0.1, "patience": 1, "min_lr": 0.05})
    _, rates = driven(registry, tmp_path, [1.0] * 4, slow)
    assert rates == pytest.approx([0.8, 0.8, 0.08, 0.05])


def test_without_dev_split_all_three_watch_the_training_loss(registry: Registry, tmp_path: Path) -> None:
    losses = [{"loss": loss} for loss in (3.0, 2.0, *[2.5] * 20)]
    _, rates = driven(registry, tmp_path, losses, *DEFAULTS)
    assert len(rates) == 2 + 5
    assert saved_scale(tmp_path / "best_model.keras") == 2
    assert rates == pytest.approx([0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.2])


def test_with_dev_split_the_training_loss_does_not_count(registry: Registry, tmp_path: Path) -> None:
    losses = [{"loss": 9.0 - epoch, "val_loss": 1.0 + epoch} for epoch in range(20)]
    _, rates = driven(registry, tmp_path, losses, *DEFAULTS)
    assert len(rates) == 1 + 5
    assert saved_scale(tmp_path / "best_model.keras") == 1
