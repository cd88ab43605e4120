"""Picture files -> RGB uint8 arrays of one size; a bad file is named, with the reason."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .errors import DatasetError, ImageError, UsageError
from .image_colours import UnknownRangeError, to_rgb
from .image_files import ENDINGS, ImageFile, image_error, is_image, open_image, undecodable
from .image_names import files_of, walk
from .image_views import View
from .name_table import NameTable
from .quiet_pillow import quiet_pillow

__all__ = ["ENDINGS", "ImageSource", "iterate_batches", "list_images", "read_image"]

ImageSource: TypeAlias = "ImageFile | Image.Image | NDArray[np.uint8] | View"

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MOST_THREADS = 8
# Those of more pixels are decoded one at a time: unpacked, each may take a gigabyte.
_LARGE = 2**25
_decoding_large = threading.Lock()


def list_images(folder: str | os.PathLike[str]) -> Mapping[str, Path]:
    """Find the pictures in a folder and the folders under it, by the ending of their names.

    Returns:
        Name -> path, in the order of the names. A name is the path relative to ``folder``, with forward
        slashes. Hidden files are left out.

    Raises:
        DatasetError: there is no such folder, or it holds no pictures.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DatasetError(f"There is no folder '{root}': give the folder that holds the pictures.")
    found = NameTable(name for name in walk(root) if is_image(name) and (root / name).is_file())
    if not len(found):
        raise DatasetError(
            f"The folder '{root}' holds no pictures; looked for files ending in {', '.join(sorted(ENDINGS))}."
        )
    return files_of(root, NameTable(found.named(found.in_order())))


def read_image(source: ImageSource, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read one picture as the eye sees it and resize it.

    The orientation that a camera noted is honoured; grey, palette, CMYK and 16-bit pictures become
    8-bit RGB; what is transparent shows white; of an animation the first frame is taken. The sides are
    resized independently (bicubic, with antialiasing), so nothing is cut off.

    Args:
        source: a path, the bytes of a file or what has ``read_bytes()``, a PIL image, a uint8 array
            ``[H, W]``, ``[H, W, 3]`` or ``[H, W, 4]``, or a view of one of these.
        size: ``(height, width)`` in pixels.

    Returns:
        RGB uint8 ``[height, width, 3]``.

    Raises:
        ImageError: the picture cannot be decoded; the message names the file and the reason.
        UsageError: ``source`` is none of the above.
    """
    if isinstance(source, View):
        return source.pixels(read_image, size)
    if isinstance(source, Image.Image):
        with quiet_pillow():
            return _decoded(source, str(getattr(source, "filename", "")) or "PIL image", size)
    if isinstance(source, np.ndarray):
        return _decoded(_from_array(source), "array", size)
    if not isinstance(source, (str, os.PathLike, bytes)) and not hasattr(source, "read_bytes"):
        raise UsageError(f"{source!r} is no picture: give a path, a PIL image or a uint8 array.")
    with open_image(source) as image:
        _decode_reduced(image, size)
        return _decoded(image, "bytes" if isinstance(source, bytes) else source, size)


def iterate_batches(
    images: Mapping[str, ImageSource] | Iterable[tuple[str, ImageSource]],
    size: tuple[int, int],
    batch_size: int,
    on_error: Callable[[str, ImageError], None] | None = None,
) -> Iterator[tuple[list[str], NDArray[np.uint8]]]:
    """Decode pictures in threads, ahead of whoever computes with them, and yield them in batches.

    Args:
        images: name -> picture, or pairs of both, taken as late as possible; their order is kept.
        size: ``(height, width)`` in pixels.
        batch_size: pictures in a batch; only the last may have fewer. At most two batches are decoded
            ahead.
        on_error: called with name and error of each bad picture, which is then left out.

    Yields:
        The names, and RGB uint8 ``[N, height, width, 3]``.

    Raises:
        ImageError: a picture is bad and there is no ``on_error``.
    """
    waiting = iter(images.items() if isinstance(images, Mapping) else images)
    ahead: deque[tuple[str, Callable[[], NDArray[np.uint8]]]] = deque()
    names: list[str] = []
    arrays: list[NDArray[np.uint8]] = []
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS), thread_name_prefix="capframe-images")
    single = isinstance(images, Mapping) and len(images) == 1

    def begin(image: ImageSource) -> Callable[[], NDArray[np.uint8]]:
        # With one picture there is nothing to do meanwhile, and starting a thread takes half as long as it.
        return partial(read_image, image, size) if single else pool.submit(read_image, image, size).result

    try:
        while True:
            while len(ahead) < 2 * batch_size and (item := next(waiting, None)) is not None:
                ahead.append((item[0], begin(item[1])))
            if not ahead:
                break
            name, result = ahead.popleft()
            try:
                arrays.append(result())
            except ImageError as error:
                if on_error is None:
                    raise
                on_error(name, error)
                continue
            names.append(name)
            if len(names) == batch_size:
                yield names, np.stack(arrays)
                names, arrays = [], []
        if names:
            yield names, np.stack(arrays)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _decode_reduced(image: Image.Image, size: tuple[int, int]) -> None:
    """Have a JPEG decoded at 1/2, 1/4 or 1/8, but not below twice the wanted size.

    So much is left that the bicubic filter, which comes after, hides the difference.
    """
    image.draft(None, (2 * max(size), 2 * max(size)))


def _decoded(image: Image.Image, what: object, size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size
    large = image.width * image.height > _LARGE
    try:
        with _decoding_large if large else nullcontext():
            image.load()
            # After decoding: Pillow turns TIFF files upright itself, and finds late notes in PNG files.
            orientation = _orientation(image)
            wanted = (height, width) if orientation >= 5 else (width, height)
            picture = to_rgb(image, wanted)
    except UnknownRangeError as error:
        raise image_error(what, str(error)) from None
    # The decoders of Pillow raise nearly anything on damaged files: OSError, SyntaxError, struct.error, ...
    except Exception as error:
        raise undecodable(what, error) from error
    if orientation in _UPRIGHT:
        picture = picture.transpose(_UPRIGHT[orientation])
    return np.asarray(picture)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # Damaged notes of a camera are no reason to lose its picture.
        return 1


def _from_array(array: NDArray[Any]) -> Image.Image:
    if array.dtype != np.uint8 or array.ndim not in {2, 3} or array.shape[2:] not in {(), (3,), (4,)}:
        raise ImageError(
            f"Cannot read an array of {array.dtype} {list(array.shape)} as a picture: give uint8 "
            "[height, width, 3] in RGB, with values from 0 to 255."
        )
    return Image.fromarray(array)
