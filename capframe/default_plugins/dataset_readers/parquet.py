"""``parquet``: a table of pictures (by path, or with their bytes) and captions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from capframe.errors import DatasetError
from capframe.interfaces import CaptionedImages, StoredImage

from .columns import caption_column, column
from .json_records import checked, described
from .parquet_images import ParquetImage, RowGroups
from .parquet_shards import check_complete, is_parquet, shards_in, splits_of
from .splits import Splits

if TYPE_CHECKING:
    import pyarrow.parquet

_NAME_COLUMNS = ("file_name", "filename")
_IMAGE_COLUMNS = ("image", "image_path", "path", *_NAME_COLUMNS)


class _Found(NamedTuple):
    captions: dict[str, list[str]]
    images: dict[str, StoredImage | bytes]
    splits: Splits


class Parquet:
    """Reads a Parquet file, or a folder of them, as Hugging Face and data frames write them.

    A picture is a path (text), bytes, or ``{bytes, path}``. Its name is its path, else what the column
    ``file_name`` or ``filename`` says, else the number of its row, from 0. A caption is text or a list of
    texts; null stands for none. A column ``split`` is followed. The files of a folder are one table, in the
    order of their names; where these begin with splits (``train-00000-of-00002.parquet``,
    ``test-00000-of-00001.parquet``), they are followed.

    Args:
        image_column: name of the column with the pictures; by default the first there is of ``image``,
            ``image_path``, ``path``, ``file_name`` and ``filename``.
        caption_column: name of the column with the captions; by default the one of ``caption``,
            ``captions`` and ``text`` that there is.
    """

    def __init__(self, image_column: str | None = None, caption_column: str | None = None) -> None:
        self.image_column = image_column
        self.caption_column = caption_column

    @property
    def example(self) -> bytes:
        """A small file."""
        import pyarrow
        from pyarrow import parquet

        written = pyarrow.BufferOutputStream()
        captions = ["Two stars, both red", "Red stars"]
        table = {self.image_column or "image": ["stars/1.png"], self.caption_column or "caption": [captions]}
        parquet.write_table(pyarrow.table(table), written)
        content: bytes = written.getvalue().to_pybytes()
        return content

    def recognises(self, path: Path) -> bool:
        """Whether the file starts as Parquet files do, or the folder has files that end in ``.parquet``."""
        return bool(shards_in(path)) if path.is_dir() else is_parquet(path)

    def read(self, path: Path) -> CaptionedImages:
        """Read names, captions and splits; bytes of pictures stay in the file until they are looked at.

        Raises:
            DatasetError: a file cannot be read or is missing, or lacks a column, or a row is wrong; cites
                file and row.
        """
        import pyarrow
        from pyarrow import parquet

        files = shards_in(path) if path.is_dir() else [path]
        if not files:
            raise DatasetError(f"{path} holds no files that end in .parquet. Name the folder that does.")
        check_complete(files)
        split_of = splits_of(files)
        found, rows = _Found({}, {}, Splits()), 0
        for shard in files:
            try:
                with parquet.ParquetFile(shard) as file:
                    self._read(shard, file, found, rows, split_of.get(shard))
                    rows += file.metadata.num_rows
            except (pyarrow.ArrowException, OSError, UnicodeError) as error:
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise DatasetError(
                    f"{shard} cannot be read as Parquet: {reason}. Fetch the file again."
                ) from None
        captions = {name: tuple(own) for name, own in found.captions.items() if own}
        return CaptionedImages(captions, found.splits.names, found.images)

    def _read(
        self, path: Path, file: pyarrow.parquet.ParquetFile, found: _Found, first: int, split: str | None
    ) -> None:
        """Add the rows of one file; ``first`` is the number of its first row in the table."""
        columns = file.schema_arrow.names
        wanted = _IMAGE_COLUMNS if self.image_column is None else (self.image_column,)
        image = column(wanted, columns, str(path), "image_column")
        texts = caption_column(columns, self.caption_column, str(path))
        byte_columns = _byte_columns(file, image)
        stored = _holds_bytes(file, byte_columns)
        words = _values(file, "split") if "split" in columns else repeat(split)
        groups = RowGroups(path, byte_columns[0] if byte_columns else "")
        rows = zip(
            _names(file, image, path, first), _values(file, texts), words, _positions(file), strict=False
        )
        for number, (name, value, word, position) in enumerate(rows):
            place = f"{path}, row {number}"
            if stored:
                found.images.setdefault(name, ParquetImage(groups, *position, number))
            values = [] if value is None else value if isinstance(value, list) else [value]
            captions = found.captions.setdefault(name, [])
            captions.extend(checked(one, str, f"{place}: '{texts}'") for one in values)
            if word is not None and captions:
                found.splits.add(name, checked(word, str, f"{place}: 'split'"), place)


def _names(file: pyarrow.parquet.ParquetFile, image: str, path: Path, first: int) -> Iterator[str]:
    """Yield the name of the picture in each row."""
    import pyarrow

    written: Iterable[Any]
    kind = file.schema_arrow.field(image).type
    if pyarrow.types.is_struct(kind):
        fields = [kind.field(number).name for number in range(kind.num_fields)]
        if not {"path", "bytes"} & {*fields}:
            raise DatasetError(
                f"{path}: '{image}' has the fields {', '.join(fields)}; it needs path or bytes."
            )
        paths = _values(file, f"{image}.path") if "path" in fields else repeat({})
        written = ((value or {}).get("path") for value in paths)
    elif pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind):
        written = repeat(None)
    else:
        written = _values(file, image)
    named = next((name for name in _NAME_COLUMNS if name in file.schema_arrow.names and name != image), None)
    beside = _values(file, named) if named else repeat(None)
    for number, own, other in zip(range(file.metadata.num_rows), written, beside, strict=False):
        name = own if own is not None else other
        if name is not None and (not isinstance(name, str) or not name.strip()):
            raise DatasetError(
                f"{path}, row {number}: the picture's name is {described(name)}; it must be text."
            )
        yield str(first + number) if name is None else name


def _values(file: pyarrow.parquet.ParquetFile, name: str) -> Iterator[Any]:
    """Yield the values of a column, batch by batch."""
    for batch in file.iter_batches(columns=[name]):
        yield from batch.column(0).to_pylist()


def _positions(file: pyarrow.parquet.ParquetFile) -> Iterator[tuple[int, int]]:
    """Yield row group and row in the group, for each row."""
    for group in range(file.num_row_groups):
        yield from zip(repeat(group), range(file.metadata.row_group(group).num_rows), strict=False)


def _byte_columns(file: pyarrow.parquet.ParquetFile, image: str) -> list[str]:
    """Return the leaf that holds bytes of pictures, in a list; empty where there is none."""
    import pyarrow

    kind = file.schema_arrow.field(image).type
    if pyarrow.types.is_struct(kind):
        return [f"{image}.bytes"] if kind.get_field_index("bytes") >= 0 else []
    return [image] if pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind) else []


def _holds_bytes(file: pyarrow.parquet.ParquetFile, leaves: list[str]) -> bool:
    """Whether there are bytes at all: a column that is null throughout only has paths to tell."""
    for group in range(file.num_row_groups):
        chunks = file.metadata.row_group(group)
        for number in range(chunks.num_columns):
            chunk = chunks.column(number)
            if chunk.path_in_schema in leaves:
                facts = chunk.statistics
                if facts is None or not facts.has_null_count or facts.null_count < chunk.num_values:
                    return True
    return False
