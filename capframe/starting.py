"""The trained run that a training starts from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from . import run_folder
from .composition import Composition, describe
from .errors import UsageError
from .trained import Trained

if TYPE_CHECKING:
    from .captioner import Captioner

Start: TypeAlias = "Captioner | str | os.PathLike[str] | None"


def starting_point(composition: Composition, start: Start) -> Trained | None:
    """Return what training starts from: weights and vocabulary of a run folder or a trained captioner.

    Raises:
        UsageError: there is nothing to start from and the objective needs it, or it is of another decoder.
        RunFolderError: the run folder is damaged.
    """
    if start is None:
        if composition.training_options.objective == "self-critical":
            raise UsageError(
                "Self-critical training goes on from captions that a training by cross-entropy has learned. "
                "Train without training.objective first, then start from it: --from RUN, or fit(start=RUN)."
            )
        return None
    ours = describe(composition.decoder)
    if isinstance(start, (str, os.PathLike)):
        config = run_folder.read_config(Path(start))
        _check_same_decoder(ours, config["decoder"])
        return Trained.read(Path(start), config, composition.decoder.value)
    _check_same_decoder(ours, describe(start.composition.decoder))
    return start.trained


def _check_same_decoder(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    own, other = ({key: part.get(key) for key in ("name", "options", "object")} for part in (ours, theirs))
    if own != other:
        raise UsageError(
            f"The run to start from has the decoder {_shown(other)}, and this training {_shown(own)}: the "
            "weights of one do not fit the other. Compose the same decoder."
        )


def _shown(decoder: dict[str, Any]) -> str:
    options = ", ".join(f"{name}={value}" for name, value in (decoder["options"] or {}).items())
    return f"{decoder['name'] or decoder['object']}({options})"
