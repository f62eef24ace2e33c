"""Compressed bodies: read in windows, refused when they are garbage."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.asgi.coding import WINDOW, BadCoding, Inflate


@given(st.binary(max_size=5_000), st.integers(1, 300), st.sampled_from(["gzip", "deflate"]))
def test_however_it_is_cut_it_inflates_to_what_it_was(data: bytes, size: int, coding: str) -> None:
    squeezed = gzip.compress(data) if coding == "gzip" else zlib.compress(data)
    inflate = Inflate(coding)
    pieces = [squeezed[index : index + size] for index in range(0, len(squeezed), size)]
    assert b"".join(found for piece in pieces for found in inflate.pieces(piece)) == data


def test_a_flushed_piece_comes_at_once() -> None:
    compressor = zlib.compressobj(wbits=31)
    inflate = Inflate("gzip")
    for word in (b"one ", b"two ", b"three"):
        data = compressor.compress(word) + compressor.flush(zlib.Z_SYNC_FLUSH)
        assert b"".join(inflate.pieces(data)) == word


@pytest.mark.parametrize("size", [WINDOW - 1, WINDOW, WINDOW + 1, 50 * WINDOW])
def test_no_piece_is_larger_than_the_window(size: int) -> None:
    pieces = list(Inflate("gzip").pieces(gzip.compress(b"x" * size)))
    assert sum(map(len, pieces)) == size
    assert max(map(len, pieces)) <= WINDOW


@given(st.binary(min_size=20, max_size=60))
def test_garbage_is_refused_or_gives_bytes(data: bytes) -> None:
    try:
        for piece in Inflate("gzip").pieces(data):
            assert isinstance(piece, bytes)
    except BadCoding:
        pass


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", ""])
def test_other_codings_are_refused(coding: str) -> None:
    with pytest.raises(BadCoding):
        Inflate(coding)
