"""``coco-captions``: the JSON of the COCO caption annotations."""

from __future__ import annotations

from pathlib import Path

from capframe.errors import DatasetError
from capframe.interfaces import CaptionedImages

from .json_records import identity_of, load_json, member, mentions


class CocoCaptions:
    """Reads ``images`` (``id``, ``file_name``) and ``annotations`` (``image_id``, ``caption``).

    Pictures are in the order of ``images``, the captions of each in the order of ``annotations``.
    """

    example = (
        b'{"images": [{"id": 7, "file_name": "stars/1.png"}], "annotations": ['
        b'{"image_id": 7, "caption": "Two stars, both red"}, {"image_id": 7, "caption": "Red stars"}]}'
    )

    def recognises(self, path: Path) -> bool:
        """Whether it is JSON that speaks of annotations with captions for image ids.

        A list of results is known too: `read` refuses it with what it is.
        """
        if mentions(path, "image_id", "caption", top=r"\[\s*\{"):
            return True
        return mentions(path, "images", "annotations", "image_id") and not mentions(path, "sentences")

    def read(self, path: Path) -> CaptionedImages:
        """Read pictures and annotations.

        Raises:
            DatasetError: it is no such JSON, or an annotation is of an unknown picture; cites which one.
        """
        content = load_json(path)
        if (
            isinstance(content, list)
            and content
            and isinstance(content[0], dict)
            and "image_id" in content[0]
        ):
            raise DatasetError(
                f"{path}: a list of COCO results. It has ids in place of picture names. Give the annotation "
                "file, or write the captions as rows 'image,caption'."
            )
        ids: dict[int | str, str] = {}
        captions: dict[str, list[str]] = {}
        for number, image in enumerate(member(content, "images", list, str(path))):
            place = f"{path}, images[{number}]"
            name = member(image, "file_name", str, place)
            identity = identity_of(image, "id", place)
            if not name.strip():
                raise DatasetError(f"{place}: 'file_name' is empty. Give the picture a name.")
            if identity in ids:
                raise DatasetError(
                    f"{place}: the id {identity!r} of {name!r} is that of {ids[identity]!r} too. Give each "
                    "picture one of its own."
                )
            ids[identity] = name
            captions.setdefault(name, [])
        for number, annotation in enumerate(member(content, "annotations", list, str(path))):
            place = f"{path}, annotations[{number}]"
            identity = identity_of(annotation, "image_id", place)
            if identity not in ids:
                raise DatasetError(f"{place}: 'image_id' is {identity!r}, and no picture in 'images' has it.")
            captions[ids[identity]].append(member(annotation, "caption", str, place))
        return CaptionedImages({name: tuple(texts) for name, texts in captions.items() if texts})
