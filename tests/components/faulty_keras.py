"""Decoders and callbacks that break a law each, and sound ones beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from keras import layers

UNITS = 8


class Bigram:
    """Predicts a word from the picture and the word before it."""

    def build(self, feature_shape: tuple[int, ...], vocabulary_size: int) -> Any:
        features, tokens = keras.Input(feature_shape), keras.Input((None,), dtype="int32")
        picture = layers.GlobalAveragePooling1D()(features) if len(feature_shape) > 1 else features
        picture = self.seen(layers.Dense(UNITS, name="picture")(picture))
        words = self.between(layers.Embedding(vocabulary_size, UNITS, name="words")(tokens))
        merged = layers.Add()([layers.Reshape((1, UNITS))(picture), words])
        logits = layers.Dense(vocabulary_size, name="logits")(self.hidden(merged))
        return keras.Model([features, tokens], self.out(logits))

    def seen(self, picture: Any) -> Any:
        return picture

    def between(self, words: Any) -> Any:
        return words

    def hidden(self, merged: Any) -> Any:
        return layers.Activation("tanh")(merged)

    def out(self, logits: Any) -> Any:
        return logits

    def start(self, model: Any, features: Any) -> Any:
        picture = tf.reduce_mean(features, axis=1) if features.shape.rank > 2 else features
        return {"picture": self.seen(model.get_layer("picture")(picture))}

    def step(self, model: Any, tokens: Any, state: Any) -> Any:
        merged = self.hidden(state["picture"] + model.get_layer("words")(tokens))
        return self.out(model.get_layer("logits")(merged)), state


class NoVectors(Bigram):
    """Fails on vectors."""

    def build(self, feature_shape, vocabulary_size):
        if len(feature_shape) == 1:
            raise ValueError("regions are due")
        return super().build(feature_shape, vocabulary_size)


class NoGrids(Bigram):
    """Fails on grids."""

    def build(self, feature_shape, vocabulary_size):
        if len(feature_shape) > 1:
            raise ValueError("a vector is due")
        return super().build(feature_shape, vocabulary_size)


class HalfPrecision(Bigram):
    """Gives float16."""

    def out(self, logits):
        return layers.Activation("linear", dtype="float16")(logits)


class Peeking(Bigram):
    """Sees the next word."""

    def between(self, words):
        return layers.Conv1D(UNITS, 3, padding="same")(words)


@keras.saving.register_keras_serializable("faulty")
class TimesLength(layers.Layer):
    """Multiplies by the number of positions."""

    def call(self, words):
        return words * tf.cast(tf.shape(words)[1], words.dtype)


class LengthBound(Bigram):
    """Depends on how far captions are padded."""

    def between(self, words):
        return TimesLength()(words)


class Forgetful(Bigram):
    """Forgets the picture while stepping."""

    def start(self, model, features):
        return {"picture": 0 * super().start(model, features)["picture"]}


class Swapped(Bigram):
    """Is taught the picture of each caption's place, whichever picture it describes."""

    def hidden_words(self, model, features, pictures, tokens, training):
        places = tf.where(tf.reshape(tokens, [-1]) != 0)[:, 0]
        picture = tf.repeat(self.start(model, features)["picture"], len(tokens) // len(features), axis=0)
        words = model.get_layer("words")(tf.gather(tf.reshape(tokens, [-1]), places))
        return self.hidden(tf.gather(picture, places // tokens.shape[1]) + words), places

    def output_weights(self, model):
        return model.get_layer("logits").kernel, model.get_layer("logits").bias


class Growing(Bigram):
    """Keeps every word in its state."""

    def start(self, model, features):
        state = super().start(model, features)
        return {**state, "words": tf.zeros([tf.shape(features)[0], 0], tf.int32)}

    def step(self, model, tokens, state):
        logits, _ = super().step(model, tokens, state)
        return logits, {**state, "words": tf.concat([state["words"], tokens[:, None]], axis=1)}


@keras.saving.register_keras_serializable("faulty")
class Centred(layers.Layer):
    """Takes the mean over the batch off."""

    def call(self, values):
        return values - tf.reduce_mean(values, axis=0, keepdims=True)


class Crowded(Bigram):
    """Looks at the other pictures of the batch."""

    def hidden(self, merged):
        return layers.Activation("tanh")(merged + 0.5 * Centred()(merged))


@keras.saving.register_keras_serializable("faulty")
class Dark(layers.Layer):
    """Gives zeros."""

    def call(self, values):
        return values * 0.0


class Blind(Bigram):
    """Never sees the picture."""

    def seen(self, picture):
        return Dark()(picture)


@keras.saving.register_keras_serializable("faulty")
class Rounded(layers.Layer):
    """Lets no gradient through."""

    def call(self, values):
        return tf.stop_gradient(values)


class Stubborn(Bigram):
    """Cannot learn."""

    def out(self, logits):
        return Rounded()(logits)


class Unshared(Bigram):
    """Attends to every region with all its might."""

    def attention(self, model, features, tokens):
        regions = 1 if len(features.shape) == 2 else features.shape[1]
        return tf.ones((*tokens.shape, regions))


class Unsafe(Bigram):
    """Saves a function."""

    def out(self, logits):
        return layers.Lambda(lambda values: values * 1.0)(logits)


class Quiet(keras.callbacks.Callback):
    """Does nothing."""


class Likeness:
    """Takes every call that a callback gets, but is none."""

    params: Any = None

    def set_params(self, params):
        self.params = params

    def set_model(self, model):
        self.model = model

    def on_epoch_end(self, epoch, logs=None):
        pass

    on_epoch_begin = on_train_batch_begin = on_train_batch_end = on_epoch_end

    def on_train_begin(self, logs=None):
        pass

    on_train_end = on_train_begin


class NeedsDev(keras.callbacks.Callback):
    """Reads the validation loss."""

    def on_epoch_end(self, epoch, logs=None):
        assert logs["val_loss"] > 0


class Straying(keras.callbacks.Callback):
    """Writes where it stands."""

    def on_epoch_end(self, epoch, logs=None):
        Path("losses.txt").write_text(str(logs["loss"]))


class OneRun(keras.callbacks.Callback):
    """Counts epochs from its making."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        if self.epochs > 3:
            self.model.stop_training = True


class Jealous(keras.callbacks.Callback):
    """Stops training for all but the first of its class."""

    first: Any = None

    def on_epoch_end(self, epoch, logs=None):
        cls = type(self)
        cls.first = cls.first or self
        if cls.first is not self:
            self.model.stop_training = True
