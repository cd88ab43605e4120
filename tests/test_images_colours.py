"""Levels of more than 8 bits and transparency: files that Pillow cannot write are put together here."""

from __future__ import annotations

import struct
import threading
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from capframe import images
from capframe.errors import ImageError
from capframe.image_colours import to_rgb
from capframe.images import iterate_batches, read_image

SIZE = (8, 8)
SIDE = 16
GREY_40 = 257 * 40  # 16 bits hold 257 times what 8 bits do
WHITE = (255, 255, 255)


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(bits: int, colour_type: int, pixel: bytes, *chunks: bytes) -> bytes:
    """Return a PNG whose pixels are all the same; where they have 2 bits, ``pixel`` holds four."""
    row = b"\0" + pixel * (SIDE // 4 if bits == 2 else SIDE)
    header = struct.pack(">IIBBBBB", SIDE, SIDE, bits, colour_type, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(row * SIDE))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + body + chunk(b"IEND", b"")


def tiff(bits: int, photometric: int, data: bytes, samples: int = 1, order: str = "<", **tags: int) -> bytes:
    """Return an uncompressed TIFF, as section 2 of its specification (revision 6) has it.

    ``order`` is that of the bytes, ``tags`` are further ones: ``sample_format``, ``extra_samples``.
    """
    further = {339: tags.get("sample_format"), 338: tags.get("extra_samples")}
    entries: dict[int, tuple[int, int, int]] = {
        256: (3, 1, SIDE), 257: (3, 1, SIDE), 258: (3, samples, bits), 259: (3, 1, 1),
        262: (3, 1, photometric), 273: (4, 1, 0), 277: (3, 1, samples), 278: (3, 1, SIDE),
        279: (4, 1, len(data)), **{tag: (3, 1, value) for tag, value in further.items() if value is not None},
    }  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    each = struct.pack(f"{order}{samples}H", *[bits] * samples) if samples > 1 else b""
    entries[273] = (4, 1, start + len(each))
    directory = struct.pack(order + "H", len(entries))
    for tag, (kind, count, value) in sorted(entries.items()):
        if tag == 258 and each:
            packed = struct.pack(order + "I", start)
        else:
            packed = struct.pack(
                order + ("HH" if kind == 3 else "I"), *([value, 0] if kind == 3 else [value])
            )
        directory += struct.pack(order + "HHI", tag, kind, count) + packed
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    return head + directory + bytes(4) + each + data


def pixels(order: str, *levels: int, kind: str = "H") -> bytes:
    return struct.pack(f"{order}{len(levels)}{kind}", *levels) * SIDE * SIDE


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (png(16, 0, struct.pack(">H", GREY_40)), (40, 40, 40)),
        (png(16, 2, struct.pack(">3H", GREY_40, 257 * 80, 65535)), (40, 80, 255)),
        (png(16, 4, struct.pack(">2H", 0, 257 * 51)), (204, 204, 204)),
        (png(16, 6, struct.pack(">4H", 0, 0, 65535, 257 * 51)), (204, 204, 255)),
        (png(2, 0, b"\x55"), (85, 85, 85)),
        (tiff(16, 1, pixels("<", GREY_40)), (40, 40, 40)),
        (tiff(16, 1, pixels(">", GREY_40), order=">"), (40, 40, 40)),
        (tiff(16, 2, pixels("<", GREY_40, 257 * 80, 65535), 3), (40, 80, 255)),
        (tiff(16, 2, pixels(">", GREY_40, 257 * 80, 65535), 3, ">"), (40, 80, 255)),
        (tiff(16, 2, pixels("<", 0, 0, 65535, 257 * 51), 4, extra_samples=2), (204, 204, 255)),
        (tiff(16, 5, pixels("<", 0, 65535, 65535, 0), 4), (255, 0, 0)),
        # 0x800 of 0xfff, two pixels in three bytes: 2048 / 4095 * 255 = 127.5
        (tiff(12, 1, b"\x80\x08\x00" * (SIDE * SIDE // 2)), (128, 128, 128)),
        (tiff(32, 1, pixels("<", GREY_40, kind="I")), (40, 40, 40)),
    ],
)  # fmt: skip
def test_levels_of_more_than_8_bits_are_scaled_and_not_clipped(content, expected):
    assert (read_image(content, SIZE) == expected).all()


@pytest.mark.parametrize(
    "content",
    [
        png(16, 0, struct.pack(">H", GREY_40), chunk(b"tRNS", struct.pack(">H", GREY_40))),
        png(8, 0, b"\x28", chunk(b"tRNS", struct.pack(">H", 40))),
        png(16, 2, struct.pack(">3H", 257, 257, 0), chunk(b"tRNS", struct.pack(">3H", 257, 257, 0))),
    ],
    ids=["grey of 16 bits", "grey of 8 bits", "a colour of 16 bits"],
)
def test_the_level_that_a_png_calls_transparent_shows_white(content):
    assert (read_image(content, SIZE) == WHITE).all()


def test_another_level_than_the_transparent_one_stays():
    content = png(16, 0, struct.pack(">H", GREY_40), chunk(b"tRNS", struct.pack(">H", GREY_40 + 1)))

    assert (read_image(content, SIZE) == 40).all()


def test_a_tiff_in_which_zero_is_white_is_turned_round():
    assert (read_image(tiff(16, 0, pixels("<", GREY_40)), SIZE) == 215).all()
    assert (read_image(tiff(8, 0, bytes([40]) * SIDE * SIDE), SIZE) == 215).all()


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (tiff(32, 1, pixels("<", 100_000, kind="I")), "integers"),
        (tiff(16, 1, pixels("<", -5, kind="h"), sample_format=2), "integers"),
        (tiff(32, 1, pixels("<", 0.5, kind="f"), sample_format=3), "floats"),
    ],
)
def test_numbers_that_do_not_say_what_is_white_are_refused(tmp_path, content, kind):
    (tmp_path / "depth.tif").write_bytes(content)

    with pytest.raises(ImageError, match=rf"depth\.tif': its pixels are {kind} of unknown range; save it"):
        read_image(tmp_path / "depth.tif", SIZE)


@given(st.integers(0, 65535))
def test_every_level_of_16_bits_is_rounded_to_the_nearest_of_8(level):
    assert int(read_image(Image.new("I;16", (1, 1), level), (1, 1))[0, 0, 0]) == round(level / 257)


@given(colour=st.tuples(*[st.integers(0, 255)] * 3), alpha=st.integers(0, 255))
def test_what_is_half_transparent_is_mixed_with_white(colour, alpha):
    mixed = np.array([(level * alpha + 255 * (255 - alpha)) / 255 for level in colour])

    found = np.asarray(to_rgb(Image.new("RGBA", (4, 4), (*colour, alpha)), (2, 2)))

    assert np.abs(found - mixed).max() <= 1


def test_no_colour_of_transparent_pixels_shines_through_where_sizes_change():
    """Black that is wholly transparent, beside white: nothing of it may darken the edge."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((255, 255, 255, 255), (0, 0, 31, 64))

    assert (np.asarray(to_rgb(image, (10, 10))) == 255).all()


def busiest(monkeypatch: pytest.MonkeyPatch, wait: threading.Barrier | None = None) -> list[int]:
    """Watch how many threads decode at the same moment; return a list that gets each count."""
    counts, running, lock = [], [0], threading.Lock()

    def watched(image: Image.Image, size: tuple[int, int]) -> Image.Image:
        with lock:
            running[0] += 1
            counts.append(running[0])
        if wait is not None:
            wait.wait(timeout=20)
        picture = to_rgb(image, size)
        with lock:
            running[0] -= 1
        return picture

    monkeypatch.setattr(images, "to_rgb", watched)
    monkeypatch.setattr(images.os, "cpu_count", lambda: 2)
    return counts


def test_pictures_are_decoded_in_parallel(monkeypatch):
    counts = busiest(monkeypatch, threading.Barrier(2))  # alone, no thread would come past it
    pictures = {str(number): np.zeros((8, 8, 3), np.uint8) for number in range(8)}

    assert sum(len(names) for names, _ in iterate_batches(pictures, SIZE, 4)) == 8
    assert max(counts) == 2


def test_large_pictures_are_decoded_one_at_a_time_lest_memory_runs_out(monkeypatch):
    monkeypatch.setattr(images, "_LARGE", 100)
    counts = busiest(monkeypatch)
    pictures = {str(number): np.zeros((200, 200, 3), np.uint8) for number in range(40)}

    assert sum(len(names) for names, _ in iterate_batches(pictures, (100, 100), 8)) == 40
    assert counts == [1] * 40
