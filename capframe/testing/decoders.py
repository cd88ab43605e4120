"""Laws of decoders."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from ..vocabulary import PAD, START
from .decoder_cases import (
    GRID,
    TRAINING_STEPS,
    VECTOR,
    WORDS,
    Case,
    batch_of,
    cases,
    close,
    steps,
    taken,
)
from .laws import ConformanceError, LawBook, NotApplicable, Subject, require

BOOK = LawBook()


@BOOK.law(
    "Where vectors make no sense, raise a capframe.errors.UsageError in build() that names the shape and "
    "says what to do; otherwise make it work."
)
def vectors_are_taken_or_refused(subject: Subject) -> None:
    """For features ``[B, C]``, build() returns a model, or refuses them with a ``CapframeError``."""
    taken(subject, VECTOR)


@BOOK.law(
    "Where grids make no sense, raise a capframe.errors.UsageError in build() that names the shape and "
    "says what to do; otherwise make it work."
)
def grids_are_taken_or_refused(subject: Subject) -> None:
    """For features ``[B, R, C]``, build() returns a model, or refuses them with a ``CapframeError``."""
    taken(subject, GRID)


@BOOK.law(
    "Let the model end in a Dense layer of vocabulary_size units without activation, at every position."
)
def logits_are_float32_for_every_word_and_position(subject: Subject) -> None:
    """Features ``[B, *feature_shape]`` and tokens ``[B, T]`` give finite float32 logits ``[B, T, V]``."""
    for case in cases(subject):
        logits = case.logits()
        require(logits.shape == (4, 6, WORDS), f"shape {logits.shape} where {(4, 6, WORDS)} is due")
        require(logits.dtype == np.float32, f"dtype {logits.dtype}")
        require(bool(np.isfinite(logits).all()), "logits that are not finite")


@BOOK.law("Let position t see tokens 0 to t only: a causal mask in attention, no bidirectional layer.")
def later_words_change_no_earlier_logits(subject: Subject) -> None:
    """Position t predicts token t + 1 and sees no token after t."""
    for case in cases(subject):
        before = case.logits()
        for position in range(1, case.tokens.shape[1]):
            changed = case.tokens.copy()
            changed[:, position:] = START + 1 + (changed[:, position:] - START) % (WORDS - START - 1)
            after = case.logits(tokens=changed)
            close(before[:, :position], after[:, :position], f"logits before the changed word {position}")


@BOOK.law("Count no position after a word in what is computed for it: no mean or scale over all positions.")
def padding_changes_no_logits(subject: Subject) -> None:
    """A caption has the same logits with and without padding after it."""
    for case in cases(subject):
        padded = np.pad(case.tokens, ((0, 0), (0, 3)), constant_values=PAD)
        close(case.logits(), case.logits(tokens=padded)[:, :6], "logits of captions with and without padding")


@BOOK.law("Let step() use the layers of build()'s model, and carry in its state all that they remember.")
def steps_give_the_logits_of_the_whole_pass(subject: Subject) -> None:
    """Stepping over a caption gives the logits of the whole pass, to 1e-4."""
    for case in cases(subject):
        whole = case.logits()
        for position, (logits, _) in enumerate(steps(case)):
            close(whole[:, position], logits, f"logits of position {position}")


@BOOK.law("Put the batch first in every tensor of the state, and give each its final length from the start.")
def states_have_the_batch_first_and_keep_their_shapes(subject: Subject) -> None:
    """Every tensor of the state has the batch first and keeps its shape and dtype from step to step."""
    import tensorflow as tf

    for case in cases(subject):
        started = case.decoder.start(case.model, tf.constant(case.features))
        first = [(tensor.shape, tensor.dtype) for tensor in tf.nest.flatten(started)]
        require(all(shape[0] == 4 for shape, _ in first), f"shapes {first} for a batch of 4")
        for _, state in steps(case):
            now = [(tensor.shape, tensor.dtype) for tensor in tf.nest.flatten(state)]
            require(now == first, f"{first} became {now}")


@BOOK.law("Treat each picture by itself: no statistics over the batch at inference.")
def pictures_of_a_batch_do_not_meet(subject: Subject) -> None:
    """A picture and its caption have the same logits alone as among others."""
    for case in cases(subject):
        together = case.logits()
        alone = np.concatenate(
            [case.logits(case.features[row : row + 1], case.tokens[row : row + 1]) for row in range(4)]
        )
        close(together, alone, "logits in a batch of 4 and alone")


@BOOK.law("Connect the features to the logits.")
def the_picture_is_seen(subject: Subject) -> None:
    """Other features give other logits, at every position."""
    for case in cases(subject):
        change = np.abs(case.logits() - case.logits(features=case.features[::-1])).max(axis=(0, 2))
        blind = np.flatnonzero(change < 1e-6)
        require(not len(blind), f"logits do not depend on the picture at positions {blind.tolist()}")


@BOOK.law(
    "Let hidden_words() and output_weights() use the layers of build()'s model, and take each word's picture "
    "from `pictures`."
)
def words_learn_from_the_logits_of_the_whole_pass(subject: Subject) -> None:
    """A decoder that offers `TeacherForcing` gives each word once, and the model's logits of it, to 1e-4."""
    from ..interfaces import TeacherForcing

    for case in cases(subject):
        if not isinstance(case.decoder, TeacherForcing):
            raise NotApplicable("it is trained by its model alone")
        features, pictures, tokens, _ = batch_of(case.features.shape[1:])
        pictures = pictures[::-1].copy()
        hidden, places = case.decoder.hidden_words(case.model, features, pictures, tokens, False)
        kernel, bias = case.decoder.output_weights(case.model)
        real, seen = np.flatnonzero(tokens != PAD), np.sort(np.asarray(places))
        require(np.array_equal(real, seen), f"places {seen.tolist()} where {real.tolist()} are due")
        whole = case.logits(features[pictures], tokens).reshape(-1, WORDS)[np.asarray(places)]
        close(whole, np.asarray(hidden) @ np.asarray(kernel) + np.asarray(bias), "logits of the words")


@BOOK.law("Let attention() return shares of the regions: a softmax over them, seeing tokens 0 to t only.")
def attention_is_shared_among_the_regions(subject: Subject) -> None:
    """Of a decoder that offers `Attention`, weights ``[B, T, R]`` sum to 1, whatever words come later."""
    from ..interfaces import Attention

    for case in cases(subject):
        if not isinstance(case.decoder, Attention):
            raise NotApplicable("it shows no attention")
        weights = np.asarray(case.decoder.attention(case.model, case.features, case.tokens))
        due = (*case.tokens.shape, int(np.prod(case.features.shape[1:-1])))
        require(weights.shape == due, f"shape {weights.shape} where {due} is due")
        require(weights.dtype == np.float32, f"dtype {weights.dtype}")
        require(bool((weights >= 0).all()), "weights below 0")
        close(weights.sum(axis=-1), np.ones(due[:2]), "the sums of weights and 1")
        shorter = np.asarray(case.decoder.attention(case.model, case.features, case.tokens[:, :3]))
        close(weights[:, :3], shorter, "weights with and without later words")


@BOOK.law("Let gradients reach the weights: no rounding, argmax or stop_gradient on the way to the logits.")
def training_lowers_the_loss(subject: Subject) -> None:
    """Some steps of training on four captions lower their loss."""
    import keras

    from ..training import compile_steps

    for case in cases(subject):
        batch = batch_of(case.features.shape[1:])
        case.model.compile(optimizer=keras.optimizers.Adam(0.01))
        train, validate = compile_steps(case.model)
        before = float(validate(*batch)[0])
        for _ in range(TRAINING_STEPS):
            train(*batch)
        after = float(validate(*batch)[0])
        require(after < 0.9 * before, f"the summed loss went from {before:.3f} to {after:.3f} nats")


@BOOK.law("Use Keras layers alone, or register own ones with keras.saving.register_keras_serializable.")
def a_saved_model_gives_the_same_logits(subject: Subject) -> None:
    """The model is saved, loaded in Keras' safe mode, and gives the same logits, stepped or whole."""
    import keras

    for case in cases(subject):
        before = case.logits()
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "decoder.keras"
            case.model.save(path)
            try:
                loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
            except Exception as error:
                first = str(error).partition("\n")[0]
                raise ConformanceError(f"it cannot be loaded: {type(error).__name__}: {first}") from error
        again = Case(subject.build(), loaded, case.features, case.tokens)
        close(before, again.logits(), "logits of the saved and the loaded model")
        for position, (logits, _) in enumerate(steps(again)):
            close(
                before[:, position], logits, f"logits of position {position}, stepped with the loaded model,"
            )
