"""Data URLs, as RFC 2397 has them, and what an image in base64 is, where nobody says it."""

from __future__ import annotations

import base64
import re
from urllib.parse import unquote_to_bytes

__all__ = ["data_url", "parse_data_url", "sniff_mime"]

_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),(.*)", re.DOTALL | re.IGNORECASE)


def data_url(mime: str, data: str) -> str:
    """``data:image/png;base64,iVBO…`` from a MIME type and base64 text."""
    return f"data:{mime};base64,{data}"


def parse_data_url(url: str) -> tuple[str, str] | None:
    """Take a data URL apart.

    Args:
        url: ``data:image/png;base64,iVBO…``; parameters and percent-encoded text are accepted too.

    Returns:
        MIME type (``"text/plain"`` where it has none) and base64 text, or None when it is no data URL.
    """
    match = _DATA_URL.fullmatch(url)
    if match is None:
        return None
    mime, parameters, data = match.groups()
    names = [name.lower() for name in parameters.split(";") if name]
    kept = "".join(f";{name}" for name in names if name != "base64")
    mime = (mime or "text/plain") + kept
    if "base64" in names:
        return mime, data
    return mime, base64.b64encode(unquote_to_bytes(data)).decode("ascii")


# How the base64 of each kind of image begins; of WebP only what its length does not change.
_MAGIC = {
    re.compile(r"iVBORw0KGg"): "image/png",
    re.compile(r"/9j/"): "image/jpeg",
    re.compile(r"R0lGOD[dl]h"): "image/gif",
    re.compile(r"UklGR.{6}XRUJQ"): "image/webp",
}


def sniff_mime(data: str) -> str | None:
    """The MIME type of an image by its first bytes.

    Args:
        data: Base64 text.

    Returns:
        ``"image/png"``, ``"image/jpeg"``, ``"image/gif"`` or ``"image/webp"``; None for anything else.
    """
    return next((mime for magic, mime in _MAGIC.items() if magic.match(data)), None)
