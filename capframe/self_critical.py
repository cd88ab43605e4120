"""Self-critical training: a trained decoder learns from the CIDEr-D of captions that it samples itself.

Rennie et al., 2017, "Self-critical sequence training for image captioning". What a sample is compared with
is not the greedy caption but the mean of the other samples of its picture (Luo, 2020, "A better variant of
self-critical sequence training"), which costs no further search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .batches import epoch_order
from .caption_rewards import CiderReward
from .interfaces import TeacherForcing
from .sampling import barred, compile_sampler
from .search import Search, SearchOptions
from .training_options import TrainingOptions
from .vocabulary import END, PAD, START, Vocabulary
from .word_losses import word_losses

if TYPE_CHECKING:
    import keras

    from .interfaces import Decoder

Array = NDArray[Any]


class PictureBatches:
    """Cuts pictures into batches: features ``[P, *feature_shape]`` and rewards of captions of these pictures.

    Args:
        captions: one sequence of clean captions for each picture.
        vocabulary: maps their words to ids.
        features: maps the numbers of pictures, int64 ``[P]``, to features ``[P, *feature_shape]``.
        batch_size: pictures in a batch.
        seed: of the shuffling and of the views.
        views: as in `capframe.batches.CaptionBatches`.
        frequencies: of whose captions the reward takes the document frequencies; by default of these.
    """

    def __init__(
        self,
        captions: Sequence[Sequence[str]],
        vocabulary: Vocabulary,
        features: Callable[[NDArray[np.int64]], NDArray[np.float32]],
        *,
        batch_size: int = 32,
        seed: int = 0,
        views: int = 1,
        frequencies: PictureBatches | None = None,
    ) -> None:
        self.features, self.batch_size, self.seed = features, batch_size, seed
        self.pictures, self.views = len(captions), views
        references = ([vocabulary.encode(caption) for caption in own] for own in captions)
        self.reward: CiderReward = CiderReward(references, frequencies.reward if frequencies else None)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return math.ceil(self.pictures / self.batch_size)

    def epoch(self, number: int | None = None) -> Iterator[tuple[Array, Callable[[Array], Array]]]:
        """Yield the batches of one epoch: shuffled by seed and epoch number, or in order for None.

        A batch is features, and a function that maps captions int32 ``[P * n, T]``, n of each picture one
        after the other, to their rewards, float64 ``[P * n]``.
        """
        order, seen = epoch_order(self.pictures, self.views, self.seed, number)
        for start in range(0, len(order), self.batch_size):
            rows = slice(start, start + self.batch_size)
            pictures = order[rows]

            def reward(captions: Array, pictures: Array = pictures) -> Array:
                rows = np.repeat(pictures, len(captions) // len(pictures)).tolist()
                return self.reward(captions, rows)

            yield self.features(seen[rows]), reward


def advantages(rewards: Array, samples: int) -> NDArray[np.float32]:
    """Return by how much each reward is above the mean of the others of its picture, float32 ``[P * n]``.

    Args:
        rewards: ``[P * n]``, those of one picture follow each other.
        samples: n, at least 2.
    """
    own = rewards.reshape(-1, samples)
    above: Array = (own - own.mean(axis=1, keepdims=True)) * samples / (samples - 1)
    return above.reshape(-1).astype(np.float32)


def compile_policy_step(model: keras.Model, decoder: object = None) -> Callable[..., Any]:
    """Compile one step along the gradient of ``-sum(advantage * log p(word)) / words``.

    It maps features ``[P, *feature_shape]``, the picture of each caption int32 ``[C]``, captions int32
    ``[C, T]`` (words, ``<end>``, padding) and advantages float32 ``[C]`` to that loss. ``p`` is what search
    and sampling go by: padding, ``<unk>`` and ``<start>`` have no probability. The decoder's dropout is
    active, as in all training, though the samples were drawn without.
    """
    import tensorflow as tf

    signature = [
        tf.TensorSpec(model.inputs[0].shape, tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, None], tf.int32),
        tf.TensorSpec([None], tf.float32),
    ]

    def losses(features: Any, pictures: Any, captions: Any) -> tuple[Any, Any]:
        """Return minus the log-probability of each word, and which caption it is of."""
        rows = tf.shape(captions)[0]
        inputs = tf.concat([tf.fill([rows, 1], START), captions[:, :-1]], axis=1)
        inputs = tf.where(captions == PAD, PAD, inputs)
        if isinstance(decoder, TeacherForcing):
            hidden, places = decoder.hidden_words(model, features, pictures, inputs, True)
            kernel, bias = decoder.output_weights(model)
            bias = tf.convert_to_tensor(bias) + barred(tf.shape(bias)[0])
            words = tf.gather(tf.reshape(captions, [-1]), places)
            return word_losses(words, hidden, kernel, bias), places // tf.cast(
                tf.shape(captions)[1], places.dtype
            )
        logits = tf.cast(model([tf.gather(features, pictures), inputs], training=True), tf.float32)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(captions, logits + barred(tf.shape(logits)[-1]))
        places = tf.where(captions != PAD)
        return tf.gather_nd(each, places), places[:, 0]

    @tf.function(input_signature=signature)  # type: ignore[untyped-decorator]
    def step(features: Any, pictures: Any, captions: Any, advantage: Any) -> Any:
        with tf.GradientTape() as tape:
            each, owners = losses(features, pictures, captions)
            loss = tf.reduce_mean(each * tf.gather(advantage, owners))
        variables = model.trainable_variables
        model.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    model.optimizer.build(model.trainable_variables)
    compiled: Callable[..., Any] = step
    return compiled


def self_critical_steps(
    model: keras.Model, decoder: Decoder, options: TrainingOptions
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Return the training step and the validation step of self-critical training, for `PictureBatches`.

    Both return minus the summed reward, and the number of captions: of the samples in training, of greedy
    captions in validation. So the losses that are logged are minus a mean CIDEr-D, and fall.
    """
    sample = compile_sampler(decoder, model, options.samples, options.max_words)
    policy_step = compile_policy_step(model, decoder)
    search = Search(decoder, model)
    greedy = SearchOptions(beam=1, max_words=options.max_words)

    def train(features: Array, reward: Callable[[Array], Array]) -> tuple[float, int]:
        seed = np.array([options.seed, int(model.optimizer.iterations.numpy())], np.int64)
        captions = sample(features, seed).numpy()
        rewards = reward(captions)
        order = np.argsort((captions != PAD).sum(axis=1), kind="stable")
        pictures = np.repeat(np.arange(len(features), dtype=np.int32), options.samples)
        above = advantages(rewards, options.samples)
        loss = policy_step(features, pictures[order], captions[order], above[order])
        # A loss that is no number must end the training, however good the samples were.
        return -float(rewards.sum()) + 0.0 * float(loss), len(rewards)

    def validate(features: Array, reward: Callable[[Array], Array]) -> tuple[float, int]:
        tokens, _ = search(features, greedy)
        return -float(reward(with_ends(tokens)).sum()), len(features)

    return train, validate


def with_ends(tokens: Array) -> Array:
    """Return captions int32 ``[N, T + 1]`` with an ``<end>`` after the words of those that search ended.

    Args:
        tokens: int32 ``[N, T]`` as search returns them; one that fills its row was cut.
    """
    longer = np.pad(tokens, ((0, 0), (0, 1)))
    lengths = (tokens != PAD).sum(axis=1)
    ended = np.flatnonzero(lengths < tokens.shape[1])
    longer[ended, lengths[ended]] = END
    return longer
