"""Which column of a table holds what."""

from __future__ import annotations

from collections.abc import Collection

from capframe.errors import DatasetError

CAPTION_COLUMNS = ("caption", "captions", "text")


def caption_column(columns: Collection[str], chosen: str | None, place: str) -> str:
    """Return the column with the captions: the chosen one, or the one of `CAPTION_COLUMNS` that is there.

    Raises:
        DatasetError: there is no such column, or there are several; cites ``place``.
    """
    if chosen is not None:
        return column((chosen,), columns, place, "caption_column")
    found = [name for name in CAPTION_COLUMNS if name in columns]
    if len(found) > 1:
        raise DatasetError(
            f"{place}: captions may be in the columns {' and '.join(found)}. Choose one with "
            f"--set dataset_reader.caption_column={found[0]}."
        )
    return column(CAPTION_COLUMNS, columns, place, "caption_column")


def column(candidates: Collection[str], columns: Collection[str], place: str, option: str) -> str:
    """Return the first candidate that is a column.

    Raises:
        DatasetError: none is; names the option that chooses another.
    """
    for name in candidates:
        if name in columns:
            return name
    raise DatasetError(
        f"{place}: no column {' or '.join(candidates)}; the columns: {', '.join(columns) or 'none'}. Choose "
        f"with --dataset-reader NAME --set dataset_reader.{option}=COLUMN."
    )
