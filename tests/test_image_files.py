"""Every kind of picture file gives the colours that were put in; odd and bad ones say so without warnings."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from capframe import images
from capframe.errors import ImageError
from capframe.image_files import open_image
from capframe.images import iterate_batches, list_images, read_image
from capframe.quiet_pillow import quiet_pillow

RED, GREEN, BLUE, WHITE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (128, 128, 128)
SIZE = (8, 8)
needs_webp = pytest.mark.skipif(not features.check("webp"), reason="this Pillow has no WebP")


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def plain(mode: str, colour: object) -> Image.Image:
    return Image.new(mode, (16, 16), colour)


def palette(transparent: bool = False) -> Image.Image:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([*RED, *GREEN, *BLUE])
    if transparent:
        image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("kind", "image", "options", "expected"),
    [
        ("JPEG", plain("RGB", GREY), {}, GREY),
        ("JPEG", plain("L", 77), {}, (77, 77, 77)),
        ("JPEG", plain("CMYK", (0, 0, 0, 0)), {}, WHITE),
        ("JPEG", plain("CMYK", (0, 0, 0, 255)), {}, (0, 0, 0)),
        ("JPEG", plain("RGB", GREY), {"progressive": True}, GREY),
        ("PNG", plain("RGB", BLUE), {}, BLUE),
        ("PNG", plain("1", 1), {}, WHITE),
        ("PNG", plain("L", 77), {}, (77, 77, 77)),
        ("PNG", plain("LA", (0, 51)), {}, (204, 204, 204)),
        ("PNG", plain("RGBA", (0, 0, 255, 51)), {}, (204, 204, 255)),
        ("PNG", plain("I;16", 257 * 40), {}, (40, 40, 40)),
        ("PNG", palette(), {}, GREEN),
        ("PNG", palette(), {"transparency": b"\xff\x00"}, WHITE),
        ("PNG", plain("RGB", GREEN), {"transparency": GREEN}, WHITE),
        ("GIF", palette(), {}, GREEN),
        ("GIF", palette(), {"transparency": 1}, WHITE),
        ("BMP", plain("RGB", RED), {}, RED),
        ("BMP", plain("1", 0), {}, (0, 0, 0)),
        ("BMP", palette(), {}, GREEN),
        ("TIFF", plain("RGB", RED), {}, RED),
        ("TIFF", plain("CMYK", (0, 255, 255, 0)), {}, RED),
        ("TIFF", plain("I;16", 65535), {}, WHITE),
        ("TIFF", plain("RGBA", (255, 0, 0, 51)), {}, (255, 204, 204)),
        ("TIFF", palette(), {"compression": "tiff_lzw"}, GREEN),
        pytest.param("WEBP", plain("RGB", BLUE), {"lossless": True}, BLUE, marks=needs_webp),
        pytest.param("WEBP", plain("RGBA", (0, 0, 0, 0)), {"lossless": True}, WHITE, marks=needs_webp),
    ],
)
def test_each_kind_of_file_gives_the_colours_that_were_put_in(tmp_path, kind, image, options, expected):
    path = tmp_path / "picture"  # the content tells the kind, not the name
    path.write_bytes(written(image, kind, **options))

    from_path, from_bytes = read_image(path, SIZE), read_image(path.read_bytes(), SIZE)

    assert from_path.shape == (8, 8, 3)
    assert from_path.dtype == np.uint8
    assert (from_path == expected).all()
    assert np.array_equal(from_path, from_bytes)


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("JPEG", "RGB", {}),
        ("JPEG", "RGB", {"progressive": True}),
        ("PNG", "RGB", {}),
        ("GIF", "P", {}),
        ("BMP", "RGB", {}),
        ("TIFF", "RGB", {}),
        ("TIFF", "RGB", {"compression": "tiff_lzw"}),
        pytest.param("WEBP", "RGB", {}, marks=needs_webp),
    ],
)
def test_a_picture_that_lacks_some_of_its_pixels_is_refused_wherever_it_was_cut(kind, mode, options):
    content = written(Image.effect_noise((48, 36), 80).convert(mode), kind, **options)
    for sixteenths in range(16):
        with pytest.raises(ImageError):
            read_image(content[: len(content) * sixteenths // 16], SIZE)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", pytest.param("WEBP", marks=needs_webp)])
def test_of_several_frames_the_first_is_taken(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    content = written(
        plain("RGB", RED),
        kind,
        save_all=True,
        append_images=[plain("RGB", GREEN), plain("RGB", BLUE)],
        **options,
    )

    assert (read_image(content, SIZE) == RED).all()


# How the sensor stored the scene, as the EXIF standard has it: axes swapped, then rows and columns reversed.
STORED = {
    1: (False, 1, 1), 2: (False, 1, -1), 3: (False, -1, -1), 4: (False, -1, 1),
    5: (True, 1, 1), 6: (True, -1, 1), 7: (True, -1, -1), 8: (True, 1, -1),
}  # fmt: skip


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "HEIC", pytest.param("WEBP", marks=needs_webp)])
def test_every_orientation_in_any_kind_of_file_is_honoured(kind, orientation):
    scene = np.zeros((64, 128, 3), np.uint8)
    scene[:32, :64], scene[:32, 64:], scene[32:, :64], scene[32:, 64:] = RED, GREEN, BLUE, WHITE
    swapped, rows, columns = STORED[orientation]
    stored = (scene.transpose(1, 0, 2) if swapped else scene)[::rows, ::columns]
    image = Image.fromarray(np.ascontiguousarray(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    if kind == "HEIC":
        heif = pytest.importorskip("pillow_heif").from_pillow(image)
        buffer = io.BytesIO()
        heif.save(buffer, quality=100, exif=exif.tobytes())
        content = buffer.getvalue()
    else:
        content = written(image, kind, exif=exif)

    pixels = read_image(content, (64, 128)).astype(int)

    # Away from the edges; JPEG, WebP and HEIC keep colours only nearly.
    quarters = [pixels[y : y + 8, x : x + 8].mean(axis=(0, 1)) for y in (12, 44) for x in (28, 92)]
    assert np.abs(np.array(quarters) - [RED, GREEN, BLUE, WHITE]).max() < 8


@pytest.mark.parametrize("orientation", [0, 9, 1000])
def test_an_orientation_that_does_not_exist_is_passed_over(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation

    assert (read_image(written(plain("RGB", RED), "PNG", exif=exif), SIZE) == RED).all()


def heic(colour: tuple[int, int, int] = GREY, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    pillow_heif.from_pillow(Image.new("RGB", (64, 64), colour)).save(buffer, quality=100, **options)
    return buffer.getvalue()


def test_heic_is_read_where_the_package_is_installed_and_pillow_stays_as_it_was(tmp_path):
    (tmp_path / "photo.heic").write_bytes(heic())

    pixels = read_image(tmp_path / "photo.heic", SIZE)

    assert np.abs(pixels.astype(int) - 128).max() <= 2
    assert "HEIF" not in Image.OPEN
    assert list(list_images(tmp_path)) == ["photo.heic"]


def test_without_the_package_heic_is_refused_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "photo.jpg").write_bytes(b"\x00\x00\x00\x1cftypheic\x00\x00\x00\x00mif1heic")

    with pytest.raises(ImageError, match=r"photo\.jpg': it is a HEIC file.*pip install 'capframe\[heic\]'"):
        read_image(tmp_path / "photo.jpg", SIZE)


@pytest.mark.parametrize(
    "damage", [lambda c: c[:20], lambda c: c[: len(c) // 2], lambda c: c[:300] + b"\0" * 99]
)
def test_a_damaged_heic_is_named(tmp_path, damage):
    (tmp_path / "photo.heic").write_bytes(damage(heic()))

    with pytest.raises(ImageError, match=r"photo\.heic"):
        read_image(tmp_path / "photo.heic", SIZE)


def test_a_huge_heic_is_a_bomb_too(tmp_path, monkeypatch):
    (tmp_path / "photo.heic").write_bytes(heic())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)

    with pytest.raises(ImageError, match=r"photo\.heic.*bomb"):
        read_image(tmp_path / "photo.heic", SIZE)


def test_kinds_that_can_start_other_programs_are_not_opened(tmp_path):
    (tmp_path / "page.jpg").write_bytes(written(plain("RGB", RED), "EPS"))

    with pytest.raises(
        ImageError, match=r"page\.jpg': it is not a picture \(of BMP, GIF, JPEG, PNG, TIFF, WEBP"
    ):
        read_image(tmp_path / "page.jpg", SIZE)


def odd_notes() -> bytes:
    return written(plain("RGB", WHITE), "JPEG", exif=b"Exif\0\0II*\0garbage")


def test_warnings_of_pillow_do_not_show_and_come_back_afterwards(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for content in (odd_notes(), written(plain("RGB", RED), "PNG")):
            read_image(content, SIZE)  # 256 pixels: above the first limit, below the second
        assert caught == []

        with Image.open(io.BytesIO(odd_notes())) as image:
            image.getexif()
        assert len(caught) >= 1


def test_warnings_are_held_back_in_threads_and_a_filter_of_the_user_stays():
    images = {str(number): odd_notes() for number in range(30)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("error", message="of the user")
        before = list(warnings.filters)
        batches = iterate_batches(images, SIZE, 4)
        assert len(next(batches)[0]) == 4
        with pytest.raises(UserWarning, match="of the user"):
            warnings.warn("of the user", stacklevel=1)
        warnings.warn("of somebody else", stacklevel=1)
        assert sum(len(names) for names, _ in batches) == 26
        after = list(warnings.filters)

    assert [str(warning.message) for warning in caught] == ["of somebody else"]
    assert after == before


def test_threads_that_overlap_leave_no_filter_behind():
    before = list(warnings.filters)
    inside, leave = threading.Barrier(3), threading.Event()

    def read() -> None:
        with quiet_pillow():
            inside.wait()
            leave.wait()

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    inside.wait()
    with quiet_pillow():
        assert len(warnings.filters) == len(before) + 1
    assert len(warnings.filters) == len(before) + 1
    leave.set()
    for thread in threads:
        thread.join()

    assert list(warnings.filters) == before


def test_nothing_is_written_to_stderr_for_odd_pictures(tmp_path):
    """As a user would see it: no filter of a test, a damaged TIFF and odd notes of a camera."""
    (tmp_path / "odd.jpg").write_bytes(odd_notes())
    tiff = written(plain("RGB", RED), "TIFF")
    (tmp_path / "cut.tif").write_bytes(tiff[: len(tiff) - 40])
    # Of these, libtiff itself writes to the terminal, past Python.
    for compression, mode in (("group4", "1"), ("jpeg", "RGB")):
        squeezed = written(plain("RGB", RED).convert(mode), "TIFF", compression=compression)
        (tmp_path / f"{compression}.tif").write_bytes(squeezed[: int(len(squeezed) * 0.6)])
    program = (
        "import sys, capframe.images as images\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        images.read_image(path, (4, 4))\n"
        "    except images.ImageError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program, *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stderr == ""
    for name in ("cut.tif", "group4.tif", "jpeg.tif"):
        assert f"{name}': it cannot be decoded" in done.stdout


def test_the_file_is_closed_after_the_block(tmp_path):
    path = Path(tmp_path / "picture.png")
    path.write_bytes(written(plain("RGB", RED), "PNG"))

    with open_image(path) as image:
        assert image.size == (16, 16)
    path.unlink()

    with pytest.raises(ImageError, match=r"picture\.png': No such file"), open_image(path):
        raise AssertionError("it was opened")


def test_what_pillow_logs_of_a_damaged_tiff_is_not_printed(tmp_path):
    content = written(plain("RGB", RED), "TIFF")
    samples = b"\x15\x01\x03\x00\x01\x00\x00\x00\x03"  # the tag of samples per pixel, with the value 3
    assert content.count(samples) == 1
    (tmp_path / "odd.tif").write_bytes(content.replace(samples, samples[:-1] + b"\x99"))
    program = "import sys, capframe.images as images\nimages.read_image(sys.argv[1], (4, 4))"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "odd.tif")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stderr.splitlines()[0].startswith("Traceback")
    assert "capframe.errors.ImageError" in done.stderr.splitlines()[-1]


def test_libtiff_says_again_what_it_has_to_say_after_the_block(tmp_path):
    squeezed = written(plain("1", 1), "TIFF", compression="group4")
    (tmp_path / "cut.tif").write_bytes(squeezed[: int(len(squeezed) * 0.6)])
    program = (
        "import sys, capframe.images as images\n"
        "from PIL import Image\n"
        "for read in (lambda path: images.read_image(path, (4, 4)), lambda path: Image.open(path).load()):\n"
        "    try:\n"
        "        read(sys.argv[1])\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__, file=sys.stderr, flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "cut.tif")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()

    assert said[0] == "ImageError"
    assert any(line.startswith("TIFF") for line in said[1:])


def test_a_name_that_is_no_text_is_refused_as_stores_and_caption_files_could_not_hold_it():
    with pytest.raises(
        ImageError, match=r"caf\\udce9\.jpg': its name is not UTF-8 text: rename it"
    ) as caught:
        read_image("caf\udce9.jpg", SIZE)

    assert str(caught.value).encode()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")

    with pytest.raises(ImageError, match=r"pipe\.jpg': it is neither a file nor a link to one"):
        read_image(tmp_path / "pipe.jpg", SIZE)


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [(b"BM", "BMP"), (b"GIF89a", "GIF"), (b"\xff\xd8\xff", "JPEG"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF")],
)
def test_of_a_file_that_is_only_a_beginning_its_kind_is_told(tmp_path, beginning, kind):
    (tmp_path / "start").write_bytes(beginning)

    with pytest.raises(
        ImageError, match=f"start': it cannot be decoded: it begins as {kind}, and is cut off"
    ):
        read_image(tmp_path / "start", SIZE)


def test_an_error_that_says_nothing_is_told_by_its_name(monkeypatch):
    def no_memory(image, size):
        raise MemoryError

    monkeypatch.setattr(images, "to_rgb", no_memory)

    with pytest.raises(ImageError, match=r"it cannot be decoded \(MemoryError\)"):
        read_image(plain("RGB", RED), SIZE)
