"""Opening picture files: of the kinds listed here, without Pillow's warnings, with errors that say why."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image, UnidentifiedImageError

from .errors import ImageError
from .quiet_pillow import quiet_pillow

if TYPE_CHECKING:
    from .interfaces import StoredImage

ImageFile: TypeAlias = "str | os.PathLike[str] | StoredImage | bytes"
"""A path, the content of a file, or what gives it by ``read_bytes()``."""

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".heic", ".heif"})

# Pillow knows many more. Some of them start other programs (EPS), and none is what people take pictures in.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_BEGINNINGS = {
    b"BM": "BMP",
    b"GIF8": "GIF",
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WebP",
}
_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
_HUGE = "it would unpack to a huge size (a decompression bomb?)"


def is_image(name: str) -> bool:
    """Whether a file is a picture by the ending of its name, and not hidden."""
    path = PurePosixPath(name)
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


@contextmanager
def open_image(source: ImageFile) -> Iterator[Image.Image]:
    """Open a picture file for the time of a block; its pixels are decoded when they are first used.

    The content tells what kind of file it is, not the name. In the block no warnings of Pillow show.

    Raises:
        ImageError: the file is missing, empty or damaged, of another kind, or would unpack to a huge size.
    """
    what = "bytes" if isinstance(source, bytes) else source
    with quiet_pillow():
        try:
            image = _open(source, what)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise image_error(what, _HUGE) from error
        except ImageError:
            raise
        except OSError as error:
            raise image_error(what, error.strerror or str(error)) from error
        # Pillow raises nearly anything on damaged files: SyntaxError, ValueError, struct.error, ...
        except Exception as error:
            raise undecodable(what, error) from error
        with image:
            yield image


def image_error(what: object, reason: str) -> ImageError:
    """Return the error that names a picture and what is wrong with it."""
    name = str(what).encode(errors="backslashreplace").decode()
    return ImageError(f"Cannot read the picture '{name}': {reason}. Replace or remove it.")


def undecodable(what: object, error: Exception) -> ImageError:
    """Return the error that names a picture and what Pillow says of it."""
    return image_error(what, f"it cannot be decoded ({str(error) or type(error).__name__})")


def _open(source: ImageFile, what: object) -> Image.Image:
    file: Path | io.BytesIO
    if isinstance(source, (str, os.PathLike)):
        file = Path(source)
        if not _is_text(str(file)):
            # It would fail later, far from here: stores and caption files are UTF-8.
            raise image_error(what, "its name is not UTF-8 text: rename it")
        kind = file.stat().st_mode
        # A pipe, say, would be waited for without end.
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise image_error(what, "it is neither a file nor a link to one")
        with file.open("rb") as opened:
            start = opened.read(12)
    else:
        content = source if isinstance(source, bytes) else source.read_bytes()
        file, start = io.BytesIO(content), content[:12]
    if not start:
        raise image_error(what, "the file is empty")
    if start[4:8] == b"ftyp" and start[8:12] in _HEIF_BRANDS:
        return _open_heif(file, what)
    try:
        return Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as error:
        begun = [kind for beginning, kind in _BEGINNINGS.items() if start.startswith(beginning)]
        reason = f"it is not a picture (of {', '.join(_FORMATS)} or HEIC)"
        if begun:
            reason = (
                f"it cannot be decoded: it begins as {begun[0]}, and is cut off, damaged or of a rare kind"
            )
        raise image_error(what, reason) from error


def _is_text(name: str) -> bool:
    """Whether a file name can be written as UTF-8: Python has lone surrogates for bytes that are not."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _open_heif(file: Path | io.BytesIO, what: object) -> Image.Image:
    try:
        # The class itself: Pillow's list of formats, which the whole process shares, stays as it is.
        from pillow_heif import HeifImageFile
    except ImportError:
        raise ImageError(
            f"Cannot read the picture '{what}': it is a HEIC file. Install what reads them: "
            "python -m pip install 'capframe[heic]'."
        ) from None
    image: Image.Image = HeifImageFile(file)
    if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > 2 * Image.MAX_IMAGE_PIXELS:
        image.close()
        raise image_error(what, _HUGE)
    return image
