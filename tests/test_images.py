from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from capframe.errors import DatasetError, ImageError, UsageError
from capframe.images import iterate_batches, list_images, read_image

SIZE = (4, 6)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def gradient(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    red, green = 255 * rows / height, 255 * columns / width
    return np.stack([red, green, 255 - (red + green) / 2], axis=-1).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_a_picture_becomes_rgb_uint8_of_the_size_asked_for(tmp_path):
    path = save(tmp_path / "red.png", Image.new("RGB", (30, 20), RED))

    pixels = read_image(path, SIZE)

    assert pixels.dtype == np.uint8
    assert pixels.shape == (4, 6, 3)
    assert (pixels == RED).all()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("L", 100, (100, 100, 100)),
        ("1", 1, WHITE),
        ("P", 1, GREEN),
        ("CMYK", (0, 255, 255, 0), RED),
        ("RGBA", (255, 0, 0, 255), RED),
        ("RGBA", (0, 0, 0, 0), WHITE),
        ("RGBA", (255, 0, 0, 51), (255, 204, 204)),
        ("LA", (0, 0), WHITE),
        ("I;16", 257 * 100, (100, 100, 100)),
        ("I", 65535, WHITE),
    ],
)
def test_every_mode_becomes_rgb(mode, colour, expected):
    image = Image.new(mode, (12, 8), colour)
    if mode == "P":
        image.putpalette([*RED, *GREEN, *BLUE])

    assert (read_image(image, SIZE) == expected).all()


def test_a_transparent_palette_colour_shows_white(tmp_path):
    image = Image.new("P", (12, 8), 1)
    image.putpalette([*RED, *GREEN, *BLUE])
    path = save(tmp_path / "sign.gif", image, transparency=1)

    assert (read_image(path, SIZE) == WHITE).all()


def test_a_transparent_colour_of_an_rgb_png_shows_white(tmp_path):
    path = save(tmp_path / "sign.png", Image.new("RGB", (12, 8), GREEN), transparency=GREEN)

    assert (read_image(path, SIZE) == WHITE).all()


def test_a_16_bit_png_is_scaled_and_not_clipped(tmp_path):
    levels = np.full((8, 12), 257 * 40, np.uint16)
    path = save(tmp_path / "deep.png", Image.fromarray(levels))

    assert (read_image(path, SIZE) == 40).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_a_camera_noted_is_honoured(tmp_path, orientation):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16], upright[:8, 16:], upright[8:, :16], upright[8:, 16:] = RED, GREEN, BLUE, WHITE
    # The transformations of the EXIF standard from the scene to how the sensor stored it.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "photo.png", Image.fromarray(np.ascontiguousarray(stored)), exif=exif)

    pixels = read_image(path, (16, 32))

    assert np.array_equal(pixels, upright)


def test_resizing_antialiases_instead_of_picking_pixels():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255

    pixels = read_image(stripes, (8, 8))

    assert np.abs(pixels.astype(int) - 127).max() <= 10


def test_a_large_jpeg_decoded_at_reduced_size_looks_the_same(tmp_path):
    scene = Image.fromarray(gradient(1600, 2400))
    for left in range(0, 2400, 60):
        scene.paste(RED, (left, 200, left + 30, 900))
    path = save(tmp_path / "large.jpg", scene, quality=95)
    with Image.open(path) as image:
        whole = np.asarray(image.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC))

    difference = np.abs(read_image(path, (224, 224)).astype(int) - whole)

    assert difference.mean() < 0.7
    assert difference.max() <= 25
    assert difference.max() > 0, "it was decoded at full size"


def test_reading_a_pil_image_leaves_it_as_it_was(tmp_path):
    path = save(tmp_path / "large.jpg", Image.fromarray(gradient(800, 1200)))
    with Image.open(path) as image:
        read_image(image, SIZE)
        assert image.size == (1200, 800)


def test_paths_pil_images_and_arrays_give_the_same_pixels(tmp_path):
    array = gradient(40, 60)
    path = save(tmp_path / "picture.png", Image.fromarray(array))

    from_path = read_image(path, SIZE)

    assert np.array_equal(from_path, read_image(str(path), SIZE))
    assert np.array_equal(from_path, read_image(Image.fromarray(array), SIZE))
    assert np.array_equal(from_path, read_image(array, SIZE))


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)]
)
def test_an_array_that_is_no_picture_is_refused(array):
    with pytest.raises(ImageError, match="give uint8"):
        read_image(array, SIZE)


def test_something_that_is_no_picture_at_all_is_refused():
    with pytest.raises(UsageError, match="17 is no picture"):
        read_image(17, SIZE)


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    whole = save(folder / "whole.jpg", Image.fromarray(gradient(200, 300))).read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("not a picture")
    (folder / "folder.jpg").mkdir()
    save(folder / "floats.tif", Image.new("F", (8, 8), 0.5))
    return {
        "cut": (folder / "cut.jpg", "truncated"),
        "empty": (folder / "empty.jpg", "is empty"),
        "text": (folder / "text.jpg", "not a picture"),
        "folder": (folder / "folder.jpg", "directory|denied"),
        "missing": (folder / "missing.jpg", "No such file"),
        "floats": (folder / "floats.tif", "floats"),
    }


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "folder", "missing", "floats"])
def test_a_bad_file_is_named_with_the_reason(tmp_path, kind):
    path, reason = broken_files(tmp_path)[kind]

    with pytest.raises(ImageError, match=reason) as error:
        read_image(path, SIZE)

    assert str(path) in str(error.value)


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    path = save(tmp_path / "bomb.png", Image.new("1", (1000, 1000)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)

    with pytest.raises(ImageError, match="bomb"):
        read_image(path, SIZE)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_camera_notes_do_not_cost_the_picture(tmp_path):
    path = save(tmp_path / "photo.jpg", Image.new("RGB", (16, 16), WHITE), exif=b"Exif\0\0II*\0garbage")

    assert (read_image(path, SIZE) == 255).all()


def test_batches_keep_the_order_and_only_the_last_is_short():
    images = {f"picture {level}": np.full((8, 8, 3), level, np.uint8) for level in range(23)}

    batches = list(iterate_batches(images, SIZE, 5))

    assert [len(names) for names, _ in batches] == [5, 5, 5, 5, 3]
    assert [name for names, _ in batches for name in names] == list(images)
    assert [int(pixels[0, 0, 0]) for _, array in batches for pixels in array] == list(range(23))
    assert all(array.shape == (len(names), 4, 6, 3) and array.dtype == np.uint8 for names, array in batches)


def test_bad_pictures_are_reported_and_left_out_of_batches():
    images = {name: np.zeros((8, 8, 3), np.uint8) for name in "abcde"}
    images["b"] = images["e"] = np.zeros((8, 8, 2), np.uint8)
    bad = []

    batches = list(iterate_batches(images, SIZE, 2, on_error=lambda name, error: bad.append((name, error))))

    assert [names for names, _ in batches] == [["a", "c"], ["d"]]
    assert [name for name, _ in bad] == ["b", "e"]
    assert all(isinstance(error, ImageError) for _, error in bad)


def test_without_a_callback_a_bad_picture_is_an_error():
    with pytest.raises(ImageError):
        list(iterate_batches({"bad": np.zeros((8, 8, 2), np.uint8)}, SIZE, 2))


def test_reading_ahead_is_bounded_and_stops_when_nobody_asks_for_more(tmp_path):
    path = save(tmp_path / "picture.png", Image.new("RGB", (8, 8)))
    opened = []

    class Watched(os.PathLike):
        def __fspath__(self):
            opened.append(self)
            return str(path)

    batches = iterate_batches({str(number): Watched() for number in range(100)}, SIZE, 2)
    next(batches)
    time.sleep(0.3)  # Time enough for threads that know no bounds to open everything.
    batches.close()

    assert 2 <= len(set(opened)) <= 2 + 2 * 2


def test_pictures_are_listed_by_relative_name_in_order(tmp_path):
    (tmp_path / "b").mkdir()
    for name in (
        "b/two.JPG",
        "a.png",
        "c.webp",
        "d.tiff",
        "e.gif",
        "f.bmp",
        "g.jpeg",
        "notes.txt",
        ".hidden.png",
    ):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()

    found = list_images(tmp_path)

    assert list(found) == ["a.png", "b/two.JPG", "c.webp", "d.tiff", "e.gif", "f.bmp", "g.jpeg"]
    assert found["b/two.JPG"] == tmp_path / "b" / "two.JPG"


def test_a_missing_or_empty_picture_folder_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="holds no pictures"):
        list_images(tmp_path)
    with pytest.raises(DatasetError, match="no folder"):
        list_images(tmp_path / "nowhere")
