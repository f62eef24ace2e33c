"""Capsules: what was written is read again, and nothing else is."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2api_asgi.universal.capsule import MAX_CAPSULE, Capsule, Minter, digest_of, read, write
from ds2api_asgi.universal.node import Opaque

words = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=12)
texts = st.text(st.characters(), max_size=20)  # half characters and all
minters = st.builds(Minter.of, words, words, texts)


@st.composite
def capsules(draw: st.DrawFn) -> Capsule:
    minter = draw(minters)
    payload = st.builds(
        Opaque,
        kind=texts,
        value=texts,
        protocol=st.just(minter.protocol),
        position=st.sampled_from(["on", "before", "after"]),
        origin=st.just(minter.token),
    )
    return draw(
        st.builds(
            Capsule,
            minter=st.just(minter),
            part=st.sampled_from(["thought", "text", "call", "message"]),
            payloads=st.lists(payload, max_size=3).map(tuple),
            lengths=st.lists(st.integers(0, 2**70), max_size=3).map(tuple),
            told=st.booleans(),
            digest=st.lists(texts, max_size=2).map(digest_of),
            call=texts,
            layout=st.lists(
                st.tuples(st.sampled_from(["thought", "sealed", "text", "call"]), st.integers(0, 2**70)), max_size=3
            ).map(tuple),
        )
    )


secrets = st.none() | st.binary(min_size=1, max_size=40)


@given(capsules(), secrets)
def test_every_capsule_is_read_as_it_was_written(capsule: Capsule, secret: bytes | None) -> None:
    text = write(capsule, secret)
    assert text is not None
    assert text == write(capsule, secret)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert read(text, secret) == capsule
    assert read(text) == capsule  # without a secret nobody can tell, so it is a hint


@given(capsules(), st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40))
def test_with_a_secret_only_its_own_capsules_are_read(capsule: Capsule, secret: bytes, other: bytes) -> None:
    assert read(str(write(capsule)), secret) is None
    if other.rstrip(b"\0") != secret.rstrip(b"\0"):  # HMAC pads keys with zeros
        assert read(str(write(capsule, other)), secret) is None


@given(capsules(), st.binary(min_size=1, max_size=40), st.data())
def test_no_change_of_a_signed_capsule_is_read(capsule: Capsule, secret: bytes, data: st.DataObject) -> None:
    text = str(write(capsule, secret))
    at = data.draw(st.integers(0, len(text) - 1))
    char = data.draw(st.sampled_from(string.ascii_letters + string.digits + "_-.~"))
    changed = text[:at] + char + text[at + 1 :]
    # The last character of a MAC has four bits that mean nothing; even they must be as written.
    assert read(changed, secret) == (capsule if changed == text else None)


look_alikes = st.one_of(
    texts,
    texts.map("ds2.1.".__add__),
    st.builds("ds2.1.{}~{}~.{}".format, words, words, words),
    st.builds(
        lambda a, b, body: f"ds2.1.{a}~{b}~.{base64.urlsafe_b64encode(body).decode().rstrip('=')}",
        words,
        words,
        st.binary(max_size=40)
        | st.sampled_from(
            [
                b"[]",
                b"{}",
                b'{"k":"thought","o":[1]}',
                b'{"k":"text","n":[-1]}',
                b'{"k":"text","n":[1.5]}',
                b'{"k":"text","x":1}',
                b'{"k": "text"}',
                b'{"k":"text","t":false}',
                b'{"k":"call","c":1}',
                b'{"k":"message","l":[["text"]]}',
                b'{"k":"message","l":[["text",-1]]}',
                b'{"k":"message","l":[["other",1]]}',
                b'{"k":"message","l":[[[],1]]}',
                b"[" * 5000,
            ]
        ),
    ),
    capsules().map(write).map(str).map(lambda text: text[:-1]),
    capsules().map(write).map(str).map(lambda text: text + "="),
)


@given(look_alikes, secrets)
def test_what_only_looks_like_one_is_none_and_raises_nothing(text: str, secret: bytes | None) -> None:
    found = read(text, secret)
    if found is not None:  # it may be one after all, but only letter by letter
        assert write(found) == text


def test_a_capsule_that_would_be_too_long_is_not_written_and_not_read() -> None:
    minter = Minter.of("anthropic")
    longest = Capsule(
        minter=minter, part="thought", payloads=(Opaque(kind="s", value="x" * MAX_CAPSULE, protocol="anthropic"),)
    )
    assert write(longest) is None
    body = base64.urlsafe_b64encode(b'{"k":"text","h":"' + b"x" * MAX_CAPSULE + b'"}').decode().rstrip("=")
    assert read(f"ds2.1.a~b~.{body}") is None


@pytest.mark.parametrize("family", ["a b", "ä", "a.b", "a~b", "x" * 65])
def test_a_family_is_a_word(family: str) -> None:
    with pytest.raises(ValueError, match="not a word"):
        Minter.of("anthropic", family)


def test_a_group_is_told_apart_and_not_told() -> None:
    blue, red = Minter.of("anthropic", "", "team-blue"), Minter.of("anthropic", "", "team-red")
    assert len({blue.token, red.token, Minter.of("anthropic").token}) == 3
    assert "team" not in blue.token
