"""What projects keep: files, cached contents, batches, file search stores, tuned models, and work that takes long.

https://ai.google.dev/api/all-methods (read 2026-11-29; ``predictLongRunning`` begins such work: videos). A thing's name
begins with its kind (``files/abc``), or with its model's; requests name a file by its URI, which ends so. The SDKs'
uploads are resumable: they go on at an address of the provider's, past us.
"""

from __future__ import annotations

import re
from typing import Final

from ..resources import SEGMENT, Resources

__all__ = ["RESOURCES"]

_KINDS: Final = "(?:batches|cachedContents|fileSearchStores|files|tunedModels)"
_NAME: Final = r"(?!\.{1,2}(?:[/:]|$))[^/:]+"
_WORK: Final = "models/[^/:]+/operations"
_ONE: Final = rf"(?P<id>(?:{_KINDS}|{_WORK})/{_NAME})(?P<more>(?::\w+)?(?:/{SEGMENT})*)"
_BEGUN: Final = "models/[^/:]+:(?:batchGenerateContent|asyncBatchEmbedContent|predictLongRunning)"

RESOURCES: Final = Resources(
    path=re.compile(rf"/?(?:/(?:up|down)load)?(?:/v1(?:beta\d?|alpha)?)?/(?:{_ONE}|{_KINDS}(?::\w+)?|{_BEGUN})/?"),
    contents=(":download",),
    states=frozenset(("name", "responsesFile")),
    own=re.compile(rf"(?:{_KINDS}|{_WORK})/[!-~]{{1,256}}"),
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
