"""The dataset readers that ship with capframe: text, JSON, folders and Parquet.

Each recognises its format by content, reads it whole or refuses it with file, place and reason.
"""

from __future__ import annotations

from capframe import hookimpl


@hookimpl
def register_dataset_readers() -> dict[str, str]:
    """Offer a reader for each of the common formats."""
    home = "capframe.default_plugins.dataset_readers"
    return {
        "captions-txt": f"{home}.captions_txt:CaptionsTxt",
        "coco-captions": f"{home}.coco_captions:CocoCaptions",
        "flickr-token": f"{home}.flickr_token:FlickrToken",
        "imagefolder": f"{home}.imagefolder:ImageFolder",
        "karpathy-json": f"{home}.karpathy_json:KarpathyJson",
        "parquet": f"{home}.parquet:Parquet",
    }
