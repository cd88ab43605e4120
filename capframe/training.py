"""The masked loss, and the loop that fits a decoder's model.

The usual prefix form turns a caption of n words into n rows: every prefix, padded, against a one-hot
next word. A decoder that sees no later word gives the same n predictions in one pass, so a caption is
one row here and the sum of losses is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .batches import CaptionBatches
from .errors import TrainingError
from .interfaces import TeacherForcing
from .progress import track
from .self_critical import PictureBatches, self_critical_steps
from .training_options import TrainingOptions
from .training_state import TrainingStateFile, restore_callback
from .vocabulary import PAD
from .weight_averaging import WeightAverage
from .word_dropout import drop_words
from .word_losses import caption_losses, word_losses

if TYPE_CHECKING:
    import keras

LENGTH_GROUPS = 3

Logs = dict[str, float]


def compile_steps(
    model: keras.Model,
    label_smoothing: float = 0.0,
    decoder: object = None,
    word_dropout: float = 0.0,
    seed: int = 0,
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Compile the training step and the validation step of a model that has its optimiser.

    Labels are smoothed and words dropped in training only. Both map the four arrays of a `Batch` to the
    summed loss and the number of words. A ``decoder`` that offers `TeacherForcing` computes each picture once
    and no padding.
    """
    import tensorflow as tf

    signature = [
        tf.TensorSpec(model.inputs[0].shape, tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None, None], tf.int32),
    ]

    def losses(batch: Any, training: bool) -> Any:
        features, pictures, inputs, targets = batch
        smoothing = label_smoothing if training else 0.0
        if training and word_dropout:
            steps = tf.cast(model.optimizer.iterations.value, tf.int64)
            inputs = drop_words(inputs, word_dropout, tf.stack([tf.constant(seed, tf.int64), steps]))
        if isinstance(decoder, TeacherForcing):
            hidden, places = decoder.hidden_words(model, features, pictures, inputs, training)
            words = tf.gather(tf.reshape(targets, [-1]), places)
            total = tf.reduce_sum(word_losses(words, hidden, *decoder.output_weights(model), smoothing))
            return total, tf.cast(tf.size(words), tf.float32)
        # Groups of like length need less padding, and run side by side.
        captions, width = tf.shape(targets)[0], tf.reduce_sum(tf.cast(targets != PAD, tf.int32), axis=1)
        sums = []
        for group in range(LENGTH_GROUPS):
            rows = slice(captions * group // LENGTH_GROUPS, captions * (group + 1) // LENGTH_GROUPS)
            longest = tf.maximum(tf.reduce_max(width[rows]), 1)
            logits = model([tf.gather(features, pictures[rows]), inputs[rows, :longest]], training=training)
            sums.append(caption_losses(targets[rows, :longest], logits, smoothing))
        totals, words = zip(*sums, strict=True)
        return tf.add_n(totals), tf.add_n(words)

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def train(*batch: Any) -> Any:
        with tf.GradientTape() as tape:
            total, words = losses(batch, training=True)
            loss = total / words
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return total, words

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def validate(*batch: Any) -> Any:
        return losses(batch, training=False)

    model.optimizer.build(model.trainable_variables)
    return train, validate


def fit(
    model: keras.Model,
    train: CaptionBatches | PictureBatches,
    dev: CaptionBatches | PictureBatches | None,
    callbacks: Sequence[Any],
    options: TrainingOptions,
    *,
    decoder: Any = None,
    params: Mapping[str, Any],
    state_file: TrainingStateFile | None = None,
    on_epoch: Callable[[list[Logs]], None] = lambda history: None,
    progress: bool = False,
) -> list[Logs]:
    """Train ``model`` in place, and return the logs of each epoch.

    Callbacks are called as Keras calls them. The logs of an epoch are ``epoch`` (from 1), ``loss`` and
    ``val_loss`` (nats per word; minus CIDEr-D where the objective is self-critical), ``learning_rate`` (of
    its last step) and ``seconds``.

    Args:
        model: what the decoder built.
        train: batches to learn from, as the objective needs them.
        dev: batches that the validation loss is taken on.
        callbacks: called while training.
        options: how to train.
        decoder: what built the model; where it offers `TeacherForcing`, that is used.
        params: what callbacks find in ``self.params``, besides ``epochs``, ``steps`` and ``initial_epoch``.
        state_file: the state is written there after each epoch; what it holds is gone on with.
        on_epoch: called after each epoch, with the logs of all.
        progress: show what is going on.

    Raises:
        TrainingError: the loss is no longer a number.
        RunFolderError: the state cannot be read or written.
        UsageError: the state is of another training.
    """
    import keras

    model.compile(optimizer=options.optimizer())
    average = WeightAverage(model, options.weight_averaging)
    train_step, validation_step = _steps(model, decoder, options, average)
    steps = len(train)
    state = state_file.read() if state_file else None
    history: list[Logs] = list(state.history) if state else []
    chain = keras.callbacks.CallbackList(
        list(callbacks),
        model=model,
        verbose=0,
        **{**params, "epochs": options.epochs, "steps": steps, "initial_epoch": len(history)},
    )
    model.stop_training = False
    chain.on_train_begin()
    if state_file and state:
        state_file.restore(state, model, average)
        for callback, callback_state in zip(callbacks, state.callbacks, strict=True):
            restore_callback(callback, callback_state)
    for epoch in range(len(history), options.epochs):
        if model.stop_training:
            break
        started = time.perf_counter()
        if history:
            average.swap()
        chain.on_epoch_begin(epoch)
        with track(steps, f"epoch {epoch + 1}/{options.epochs}", enabled=progress) as bar:
            total = words = 0.0
            for step, batch in enumerate(train.epoch(epoch)):
                chain.on_train_batch_begin(step)
                if options.schedule != "constant" or epoch + step / steps < options.warm_up:
                    model.optimizer.learning_rate.assign(options.rate(epoch + (step + 1) / steps))
                loss, count = (float(value) for value in train_step(*batch))
                total, words = total + loss, words + count
                chain.on_train_batch_end(step, {"loss": loss / count})
                bar.advance(1)
                bar.update(f"loss {total / words:.3f}")
                if model.stop_training:
                    break
        learning_rate = float(model.optimizer.learning_rate)
        logs: Logs = {"loss": total / words}
        average.swap()  # until the next epoch: callbacks and the state see what is validated
        if dev is not None:
            logs["val_loss"] = validation_loss(validation_step, dev)
        if bad := [value for value in logs.values() if not np.isfinite(value)]:
            raise TrainingError(
                f"The loss of epoch {epoch + 1} is {bad[0]}. Lower the learning rate "
                f"(training.learning_rate, now {options.learning_rate:g}) or check the features for values "
                "that are not numbers."
            )
        chain.on_epoch_end(epoch, dict(logs))
        logs = {"epoch": epoch + 1, **logs, "learning_rate": learning_rate}
        logs["seconds"] = time.perf_counter() - started
        history.append(logs)
        if state_file:
            state_file.write(model, callbacks, history, average)
        on_epoch(history)
    chain.on_train_end(dict(history[-1]))
    return history


def _steps(model: keras.Model, decoder: Any, options: TrainingOptions, average: WeightAverage) -> Any:
    if options.objective == "self-critical":
        train, validate = self_critical_steps(model, decoder, options)
    else:
        train, validate = compile_steps(
            model, options.label_smoothing, decoder, options.word_dropout, options.seed
        )
    return average.following(train), validate


def validation_loss(step: Callable[..., Any], batches: CaptionBatches | PictureBatches) -> float:
    """Return the mean loss over all batches: cross-entropy in nats per word, or minus CIDEr-D per caption."""
    sums = [[float(value) for value in step(*batch)] for batch in batches.epoch()]
    total, words = np.sum(sums, axis=0)
    return float(total / words)
