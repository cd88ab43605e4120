"""``karpathy-json``: the JSON with splits that captioning papers share (Karpathy and Fei-Fei, 2015)."""

from __future__ import annotations

from pathlib import Path

from capframe.errors import DatasetError
from capframe.interfaces import CaptionedImages

from .json_records import load_json, member, mentions
from .splits import Splits


class KarpathyJson:
    """Reads ``images`` with ``filename``, ``sentences`` (each with ``raw``) and ``split``.

    A ``filepath``, as COCO's pictures have one, is the folder in the picture's name. The splits ``train``
    and ``restval`` train, ``val`` is the dev split, ``test`` the test split.
    """

    example = (
        b'{"images": [{"filename": "1.png", "filepath": "stars", "split": "restval", "sentences": ['
        b'{"raw": "Two stars, both red"}, {"raw": "Red stars"}]}]}'
    )

    def recognises(self, path: Path) -> bool:
        """Whether it is JSON that speaks of images with sentences."""
        return mentions(path, "images", "sentences", "filename")

    def read(self, path: Path) -> CaptionedImages:
        """Read pictures, captions and splits.

        Raises:
            DatasetError: it is no such JSON, or a picture has an unknown split; cites which one.
        """
        captions: dict[str, list[str]] = {}
        splits = Splits()
        for number, image in enumerate(member(load_json(path), "images", list, str(path))):
            place = f"{path}, images[{number}]"
            name = member(image, "filename", str, place)
            if not name.strip():
                raise DatasetError(f"{place}: 'filename' is empty. Give the picture a name.")
            if "filepath" in image:
                name = "/".join(part for part in (member(image, "filepath", str, place), name) if part)
            sentences = member(image, "sentences", list, place)
            texts = [member(one, "raw", str, f"{place}.sentences[{n}]") for n, one in enumerate(sentences)]
            if texts:
                captions.setdefault(name, []).extend(texts)
                if "split" in image:
                    splits.add(name, member(image, "split", str, place), place)
        return CaptionedImages({name: tuple(texts) for name, texts in captions.items()}, splits.names)
