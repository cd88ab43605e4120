from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFont

from capframe import sheet
from capframe.errors import ImageError, UsageError
from capframe.sheet import picture_sheet

RED, BLUE = (200, 0, 0), (0, 0, 200)


def red(width=64, height=64):
    return Image.new("RGB", (width, height), RED)


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


def spot(image, colour):
    """Top, bottom, left, right of the pixels of exactly this colour."""
    rows, columns = np.nonzero((image == colour).all(-1))
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


def test_pictures_stand_in_columns_then_lines(tmp_path):
    blue = np.zeros((64, 64, 3), np.uint8)
    blue[:] = BLUE
    rows = [(red(), "a", None), (Image.new("RGB", (9, 9), "white"), "b", None), (blue, "c", None)]
    image = pixels(picture_sheet(rows, tmp_path / "sheet.png", columns=2, thumb=64))
    # gap 16, margin 12: the first thumbnail starts at 28; two cards are 64 + 2 * 12 wide, three gaps between
    assert spot(image, RED) == (28, 92, 28, 92)
    assert image.shape[1] == 2 * 88 + 3 * 16
    top, bottom, left, right = spot(image, BLUE)
    assert (bottom - top, left, right) == (64, 28, 92)
    assert top > 92 + 16


def test_a_wide_picture_is_shown_whole(tmp_path):
    path = tmp_path / "wide.png"
    red(128, 32).save(path)
    image = pixels(picture_sheet([(path, "a", None)], tmp_path / "sheet.png", thumb=64))
    assert spot(image, RED) == (28 + 24, 28 + 40, 28, 92)


def test_a_picture_taken_on_its_side_stands_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "side.png"
    red(128, 32).save(path, exif=exif)
    image = pixels(picture_sheet([(path, "a", None)], tmp_path / "sheet.png", thumb=64))
    assert spot(image, RED) == (28, 92, 28 + 24, 28 + 40)


def test_captions_are_dark_above_references_in_grey(tmp_path):
    rows = [(red(), "hhhh", "hhhh")]
    image = pixels(picture_sheet(rows, tmp_path / "sheet.png", thumb=64))
    text = image[92 + 2 : -16 - 2, 28:92]
    dark_rows = np.nonzero((text.sum(-1) < 200).any(-1))[0]
    grey_rows = np.nonzero(((text.sum(-1) > 300) & (text.sum(-1) < 480)).any(-1))[0]
    assert len(dark_rows)
    assert grey_rows.max() > dark_rows.max() + 5


def test_long_captions_wrap_and_stay_on_their_card(tmp_path):
    one = pixels(picture_sheet([(red(), "word", None)], tmp_path / "one.png", thumb=64))
    many = pixels(picture_sheet([(red(), "word " * 30, None)], tmp_path / "many.png", thumb=64))
    unbroken = pixels(picture_sheet([(red(), "w" * 200, None)], tmp_path / "w.png", thumb=64))
    for image in (many, unbroken):
        assert image.shape[0] > one.shape[0] + 5 * 11
        assert spot(image, (27, 35, 48))[3] <= 92
        assert spot(image, (27, 35, 48))[1] <= image.shape[0] - 16 - 12


def test_wrapping_loses_no_letter():
    font = ImageFont.load_default(12)
    wrapped = sheet.wrapped("a small dog runs " + "x" * 50 + " home", font, "black", 90).lines
    assert "".join(wrapped).replace(" ", "") == "asmalldogruns" + "x" * 50 + "home"
    assert all(font.getlength(line) <= 90 for line in wrapped)
    assert wrapped[0] == "a small dog"


@pytest.mark.parametrize("fonts", [sheet.WIDE_FONTS, ("no-such-font.ttf",)])
@pytest.mark.parametrize(
    "caption", ["ein Straßenhund", "犬が走る", "كلب يجري", "🐕 \ud800", "", "a\x00b\tc\n\nd"]
)
def test_any_letters_can_be_written(tmp_path, monkeypatch, caption, fonts):
    monkeypatch.setattr(sheet, "WIDE_FONTS", fonts)
    assert (
        spot(pixels(picture_sheet([(red(), caption, caption)], tmp_path / "s.png", thumb=64)), RED)[0] == 28
    )


def test_without_freetype_the_bitmap_font_serves(tmp_path, monkeypatch):
    def fails(*_):
        raise ImportError("The _imagingft C module is not installed")

    bitmap = getattr(ImageFont, "load_default_imagefont", ImageFont.load_default)()
    monkeypatch.setattr(ImageFont, "truetype", fails)
    monkeypatch.setattr(ImageFont, "load_default", lambda size=None: bitmap if size is None else fails())
    image = pixels(picture_sheet([(red(), "犬 dog", "ß")], tmp_path / "s.png", thumb=64))
    assert (image[94:-18, 28:92] == (27, 35, 48)).all(-1).any()


def test_a_bad_picture_is_named_and_the_old_sheet_stays(tmp_path):
    (tmp_path / "sheet.png").write_bytes(b"old")
    (tmp_path / "bad.jpg").write_bytes(b"not a picture")
    with pytest.raises(ImageError, match=r"bad\.jpg"):
        picture_sheet([(tmp_path / "bad.jpg", "a", None)], tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes() == b"old"


def test_a_sheet_that_cannot_be_saved_leaves_the_old_one_and_no_part(tmp_path, monkeypatch):
    def disk_full(self, file, *_, **__):
        file.write_bytes(b"half")
        raise OSError("No space left on device")

    (tmp_path / "sheet.png").write_bytes(b"old")
    monkeypatch.setattr(Image.Image, "save", disk_full)
    with pytest.raises(OSError, match="No space left"):
        picture_sheet([(red(), "a", None)], tmp_path / "sheet.png")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize(
    "wrong", [{"rows": []}, {"columns": 0}, {"thumb": 31}], ids=["no-rows", "no-columns", "tiny"]
)
def test_a_sheet_of_nothing_is_refused(tmp_path, wrong):
    options = {"rows": [(red(), "a", None)], "path": tmp_path / "sheet.png"} | wrong
    with pytest.raises(UsageError, match="Cannot make a picture sheet"):
        picture_sheet(**options)
