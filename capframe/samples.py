"""Sample captions: what the decoder says of a few pictures while it is trained, for callbacks to show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .errors import ImageError
from .features import FeatureStore
from .images import ImageSource
from .interfaces import CaptionSample
from .search import Search, SearchOptions
from .sheet import fitted
from .vocabulary import Vocabulary

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SAMPLES = 8
SIDE = 256


def caption_samples(
    search: Search,
    vocabulary: Vocabulary,
    store: FeatureStore,
    *,
    names: Sequence[str],
    pictures: Mapping[str, ImageSource],
) -> Callable[[], list[CaptionSample]]:
    """Return a function that captions the first of ``names``, greedily, with the weights of the moment.

    Args:
        search: over the model that is being trained.
        vocabulary: of the run.
        store: holds the features of the pictures.
        names: of pictures; no more than `SAMPLES` are taken.
        pictures: name -> picture, where there are any.
    """
    chosen = list(names[:SAMPLES])

    def samples() -> list[CaptionSample]:
        tokens, _ = search(store.gather(chosen), SearchOptions(beam=1))
        captions = [vocabulary.decode(row) for row in tokens.tolist()]
        return [
            CaptionSample(name, _shown(pictures, name), caption)
            for name, caption in zip(chosen, captions, strict=True)
        ]

    return samples


def _shown(pictures: Mapping[str, ImageSource], name: str) -> NDArray[np.uint8] | None:
    try:
        return fitted(pictures[name], SIDE) if name in pictures else None
    except ImageError:
        return None  # it was readable when its features were taken
