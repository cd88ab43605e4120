"""How a captioner is trained: the options, and the learning rate of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from .errors import UsageError

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class TrainingOptions:
    """How a captioner is trained.

    Attributes:
        epochs: passes over the training split, at the most.
        batch_size: pictures in a batch; each comes with all its captions.
        learning_rate: of the Adam optimiser, at the start, or after the warm-up.
        max_words: longer captions are cut there.
        seed: of the weights, the dropout and the shuffling.
        schedule: ``constant`` leaves the learning rate to callbacks; ``cosine`` lets it fall to 0 at the end
            of the last epoch (Loshchilov and Hutter, 2017), whatever callbacks do.
        warm_up: for so many epochs the learning rate rises from 0.
        weight_decay: of the weights in each step, in proportion to the learning rate (AdamW, Loshchilov and
            Hutter, 2019).
        label_smoothing: this share of each target is spread over the whole vocabulary (Szegedy et al., 2016).
        clip_norm: longer gradients are cut to this length; 0 leaves them as they are.
        views: how many views of each training picture are learnt from, one in each epoch: the picture itself,
            mirrored, and cut out in several ways. Their features are extracted besides.
        word_dropout: so often the decoder reads ``<unk>`` in place of a word (Bowman et al., 2016).
        weight_averaging: decay of the average of the weights that is validated, saved and used (Polyak and
            Juditsky, 1992), for instance 0.999; 0 uses the weights of the last step.
        objective: ``cross-entropy`` of the captions' words, or ``self-critical``: CIDEr-D of sampled captions
            (Rennie et al., 2017), a second stage that starts from a trained run, with a low learning rate,
            about 0.00005. Labels are then not smoothed and no words dropped.
        samples: captions that are sampled of each picture in self-critical training.
    """

    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    max_words: int = 40
    seed: int = 0
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    views: int = 1
    word_dropout: float = 0.0
    weight_averaging: float = 0.0
    objective: Literal["cross-entropy", "self-critical"] = "cross-entropy"
    samples: int = 5

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "max_words", "views"):
            if getattr(self, name) < 1:
                raise UsageError(f"training.{name} is {getattr(self, name)}; it must be 1 or more.")
        if self.samples < 2:
            raise UsageError(f"training.samples is {self.samples}; it must be 2 or more.")
        shares = ("label_smoothing", "word_dropout", "weight_averaging")
        for name in ("warm_up", "weight_decay", "clip_norm", *shares):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(f"training.{name} is {getattr(self, name)}; it must be 0 or more.")
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"training.seed is {self.seed}; it must be from 0 to 2**32 - 1.")
        if not self.learning_rate > 0:
            raise UsageError(f"training.learning_rate is {self.learning_rate}; it must be above 0.")
        for name in shares:
            if getattr(self, name) >= 1:
                raise UsageError(f"training.{name} is {getattr(self, name)}; it must be below 1.")

    def rate(self, epochs: float) -> float:
        """Return the learning rate after so many epochs of training, parts of epochs counted."""
        if epochs < self.warm_up:
            return self.learning_rate * epochs / self.warm_up
        if self.schedule == "constant":
            return self.learning_rate
        done = (epochs - self.warm_up) / max(self.epochs - self.warm_up, 1e-9)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Return a new optimiser."""
        import keras

        clip = {"global_clipnorm": self.clip_norm} if self.clip_norm else {}
        if self.weight_decay:
            return keras.optimizers.AdamW(self.learning_rate, weight_decay=self.weight_decay, **clip)
        return keras.optimizers.Adam(self.learning_rate, **clip)
