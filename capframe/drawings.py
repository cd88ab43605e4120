"""Captioned drawings that capframe makes itself: what ``capframe quickstart`` trains on.

Each drawing shows one to four shapes of one kind, colour and size. Its captions are true by
construction, and :func:`is_true_of` tells whether any other caption is true of it as well.
"""

from __future__ import annotations

import colorsys
import csv
import io
import itertools
import json
import math
import os
import random
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from .errors import DatasetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SIDE = 224  # height and width of a drawing in pixels
SHAPES = ("circle", "square", "triangle", "star")
# Hues in degrees, far enough apart that a jitter of HUE_JITTER never makes one look like another.
COLOURS = {"red": 0.0, "yellow": 54.0, "green": 125.0, "blue": 220.0}
HUE_JITTER = 7.0
# Mean radii in pixels: a large shape covers four times the area of a small one.
SIZES = {"small": 19.0, "large": 39.0}
NUMBERS = {1: ("one", "a"), 2: ("two",), 3: ("three",), 4: ("four",)}
# A single shape's places are not left and right: networks trained on mirrored photos can't tell them apart.
PLACES = ("top", "bottom")
CORNERS = ("top left", "top right", "bottom left", "bottom right")

_SAME_SIZE = {"small": ("small", "little"), "large": ("large", "big")}


@dataclass(frozen=True)
class Scene:
    """What a drawing shows.

    Attributes:
        shape: one of ``SHAPES``; all shapes of a drawing are of one kind.
        colour: a key of ``COLOURS``.
        size: ``"small"`` or ``"large"``.
        count: number of shapes, 1 to 4.
        positions: where each shape stands: one of ``PLACES`` for a single shape, else of ``CORNERS``.
    """

    shape: str
    colour: str
    size: str
    count: int
    positions: tuple[str, ...]

    @property
    def noun(self) -> str:
        """The shape's name, in the plural where there are several."""
        return self.shape if self.count == 1 else f"{self.shape}s"


@dataclass(frozen=True)
class DrawnDataset:
    """The files of a drawn dataset, and what each picture shows.

    Attributes:
        images: folder of the pictures.
        captions: CSV file with the header ``image,caption``.
        train_split: file with a picture name a line; likewise ``dev_split`` and ``test_split``.
        truth: JSON file with the scenes, read by :func:`read_truth`.
        scenes: picture name -> scene.
    """

    images: Path
    captions: Path
    train_split: Path
    dev_split: Path
    test_split: Path
    truth: Path
    scenes: Mapping[str, Scene]


def draw_dataset(
    folder: str | os.PathLike[str],
    pictures: int = 900,
    seed: int = 0,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> DrawnDataset:
    """Draw captioned pictures into ``folder``: ``Images/``, ``captions.txt``, ``splits/``, ``truth.json``.

    A ninth of the pictures is the dev split, another ninth the test split. The same seed draws the same
    pixels and captions. Files of an earlier drawing in that folder are replaced.

    Args:
        folder: made where it does not exist.
        pictures: how many to draw, 3 at least.
        seed: seed of the random choices.
        progress: called with (drawn, of how many) after each picture.

    Raises:
        UsageError: fewer than 3 pictures.
    """
    if pictures < 3:
        raise UsageError(f"Cannot draw {pictures} pictures: each of 3 splits needs one. Draw 3 or more.")
    chooser, noise = random.Random(seed), np.random.default_rng(seed)
    scenes = {f"drawing-{number:04d}.png": s for number, s in enumerate(_choose_scenes(pictures, chooser), 1)}
    root = Path(folder)
    splits = root / "splits"
    drawn = DrawnDataset(
        root / "Images", root / "captions.txt", splits / "train.txt", splits / "dev.txt", splits / "test.txt",
        root / "truth.json", scenes,
    )  # fmt: skip
    for subfolder in (drawn.images, splits):
        subfolder.mkdir(parents=True, exist_ok=True)
    rows = [("image", "caption")]
    for done, (name, scene) in enumerate(scenes.items(), start=1):
        png = io.BytesIO()
        draw(scene, chooser, noise).save(png, "PNG", compress_level=3)
        _write_aside(drawn.images / name, png.getvalue())
        rows.extend((name, caption) for caption in captions_of(scene))
        if progress is not None:
            progress(done, pictures)
    names, ninth = list(scenes), max(1, pictures // 9)
    members = (names[2 * ninth :], names[ninth : 2 * ninth], names[:ninth])
    for path, split in zip((drawn.train_split, drawn.dev_split, drawn.test_split), members, strict=True):
        _write_aside(path, "".join(f"{name}\n" for name in split).encode())
    _write_aside(drawn.truth, json.dumps({name: asdict(s) for name, s in scenes.items()}, indent=1).encode())
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows(rows)
    _write_aside(drawn.captions, table.getvalue().encode())
    return drawn


def read_truth(path: str | os.PathLike[str]) -> dict[str, Scene]:
    """Read the scenes of a drawn dataset, by picture name, from its ``truth.json``.

    Raises:
        DatasetError: the file is missing or is not what :func:`draw_dataset` wrote.
    """
    try:
        truth: dict[str, dict[str, Any]] = json.loads(Path(path).read_text("utf-8"))
        return {name: Scene(**{**s, "positions": tuple(s["positions"])}) for name, s in truth.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DatasetError(
            f"{path} does not hold drawn scenes ({error!r}). Draw the dataset again."
        ) from error


def captions_of(scene: Scene) -> list[str]:
    """Return four true captions of a scene, each in other words; two of a single shape's say where it is."""
    number, noun, place = NUMBERS[scene.count][0], scene.noun, scene.positions[0]
    be, it = ("is", "it") if scene.count == 1 else ("are", "they")
    size, same_size = _SAME_SIZE[scene.size]
    where = f" at the {place}" if scene.count == 1 else ""
    return [
        f"{'A' if scene.count == 1 else number.capitalize()} {size} {scene.colour} {noun}{where}.",
        f"Here {be} {number} {same_size} {scene.colour} {noun}{where}.",
        f"There {be} {number} {size} {noun} and {it} {be} {scene.colour}.",
        f"The picture shows {number} {scene.colour} {noun} that {be} {size}.",
    ]


_ADJECTIVE = f"(?:{'|'.join(itertools.chain(*_SAME_SIZE.values(), COLOURS))})"
_PLACE = "(?:at|on) the (?:(?:top|bottom) (?:left|right)|top|bottom|left|right)"
_MORE = f"(?: and (?:it|they)| that| which) (?:is|are) (?:{_ADJECTIVE}(?: and {_ADJECTIVE})?|{_PLACE})"
_SENTENCE = re.compile(
    r"(?!.*\b(\w+) \1\b)"  # a captioner that stutters has not said a sentence
    "(?:(?:there|here) (?:is|are) |(?:the|this) (?:picture|drawing) shows )?"
    f"(?:{'|'.join(itertools.chain(*NUMBERS.values()))}) "
    f"(?:{_ADJECTIVE} (?:(?:and )?{_ADJECTIVE} )?)?(?:{'|'.join(SHAPES)})s?"
    f"(?: {_PLACE}|{_MORE})*"
)
_SAYS_NOTHING = set("there here the this picture drawing shows and that which at on".split())  # noqa: SIM905


def is_true_of(caption: str, scene: Scene) -> bool:
    """Tell whether a caption is true of a scene.

    It must be one sentence that states shape, colour and number, and all that it states (size, place,
    singular or plural too) must hold. Unknown words make it untrue; case and punctuation don't matter.
    """
    words = re.sub(r"[^\w\s]", " ", caption.lower()).split()
    if _SENTENCE.fullmatch(" ".join(words)) is None or scene.colour not in words:
        return False
    places = set.intersection(*(set(position.split()) for position in scene.positions))
    true_words = {
        *NUMBERS[scene.count], *_SAME_SIZE[scene.size], scene.colour, scene.noun,
        *(("is", "it") if scene.count == 1 else ("are", "they")), *places,
    }  # fmt: skip
    return set(words) <= true_words | _SAYS_NOTHING


def _choose_scenes(pictures: int, chooser: random.Random) -> list[Scene]:
    """Go round all combinations, shuffled anew each round, so that each is as frequent as any other."""
    combinations = list(itertools.product(SHAPES, COLOURS, SIZES, NUMBERS))
    scenes: list[Scene] = []
    while len(scenes) < pictures:
        chooser.shuffle(combinations)
        for shape, colour, size, count in combinations:
            positions = chooser.sample(PLACES if count == 1 else CORNERS, count)
            scenes.append(Scene(shape, colour, size, count, tuple(positions)))
    return scenes[:pictures]


def draw(scene: Scene, chooser: random.Random, noise: np.random.Generator) -> Image.Image:
    """Draw a scene as an RGB picture of ``SIDE`` x ``SIDE``; ``chooser`` and ``noise`` vary what is free."""
    enlarged = 2  # drawn larger and averaged down, so that edges are smooth
    ground = np.array([chooser.uniform(222, 236) for _ in "RGB"]) + noise.uniform(-3, 3, (7, 7, 1))
    image = Image.fromarray(ground.astype(np.uint8)).resize((enlarged * SIDE,) * 2, Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(image)
    for position in scene.positions:
        across = ("right" in position) - ("left" in position)
        down = ("bottom" in position) - ("top" in position)
        # A single shape stands near the edge, where networks notice that it is at the top or bottom.
        offset = SIDE / 4 if scene.count > 1 else SIDE / 2 - 1.25 * SIZES[scene.size] - 7
        centre_x, centre_y = (SIDE / 2 + d * offset + chooser.uniform(-5, 5) for d in (across, down))
        radius = SIZES[scene.size] * chooser.uniform(0.95, 1.05)
        hue = (COLOURS[scene.colour] + chooser.uniform(-HUE_JITTER, HUE_JITTER)) / 360
        rgb = colorsys.hsv_to_rgb(hue % 1, chooser.uniform(0.85, 1), chooser.uniform(0.82, 0.95))
        outline = _outline(scene.shape, radius, math.radians(chooser.uniform(-8, 8)))
        corners = [(enlarged * (centre_x + x), enlarged * (centre_y + y)) for x, y in outline]
        pen.polygon(corners, fill=tuple(round(255 * channel) for channel in rgb))
    return image.reduce(enlarged)


def _outline(shape: str, radius: float, turn: float) -> list[tuple[float, float]]:
    """Corners of a shape around (0, 0); ``radius`` is about half its width, ``turn`` is in radians."""
    corners, reach = {"circle": (72, 1.0), "square": (4, 1.2), "triangle": (3, 1.2), "star": (10, 1.2)}[shape]
    turn += math.pi / 4 if shape == "square" else 0.0
    distances = (radius * reach, radius * reach * (0.42 if shape == "star" else 1.0))
    angles = [turn + 2 * math.pi * corner / corners for corner in range(corners)]
    return [(distances[i % 2] * math.sin(a), -distances[i % 2] * math.cos(a)) for i, a in enumerate(angles)]


def _write_aside(path: Path, content: bytes) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
