"""What projects keep: files, cached contents, batches, file search stores, tuned models.

https://ai.google.dev/api/all-methods (read 2026-11-29). A thing's name begins with its kind (``files/abc``); requests
name a file by its URI, which ends so. The SDKs' uploads are resumable: they go on at an address of the provider's, past
us.
"""

from __future__ import annotations

import re
from typing import Final

from ..resources import SEGMENT, Resources

__all__ = ["RESOURCES"]

_KINDS: Final = "(?:batches|cachedContents|fileSearchStores|files|tunedModels)"
_NAME: Final = r"(?!\.{1,2}(?:[/:]|$))[^/:]+"
_ONE: Final = rf"(?P<id>{_KINDS}/{_NAME})(?P<more>(?::\w+)?(?:/{SEGMENT})*)"
_BATCHES: Final = "models/[^/:]+:(?:batchGenerateContent|asyncBatchEmbedContent)"

RESOURCES: Final = Resources(
    path=re.compile(rf"/?(?:/(?:up|down)load)?(?:/v1(?:beta\d?|alpha)?)?/(?:{_ONE}|{_KINDS}(?::\w+)?|{_BATCHES})/?"),
    contents=(":download",),
    states=frozenset(("name", "responsesFile")),
    own=re.compile(rf"{_KINDS}/[!-~]{{1,256}}"),
    names=frozenset(
        {
            "cachedContent",
            "cached_content",
            "fileName",
            "fileSearchStoreNames",
            "fileUri",
            "file_name",
            "file_search_store_names",
            "file_uri",
        }
    ),
    models=("tunedModels/",),
)
