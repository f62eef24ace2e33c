from __future__ import annotations

import email.policy
from contextlib import suppress
from email.parser import BytesParser
from urllib.parse import parse_qsl

import httpx
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ds2api_asgi.errors import FramingError
from ds2api_asgi.framing.form import MAX_HEAD, MAX_PARTS, MAX_VALUE, Field, may_be_pairs_of, read_fields, with_field

KIND = b"multipart/form-data; boundary=b0"
LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)
NAMES = st.sampled_from(["model", "stream", "prompt", "language", "timestamp_granularities[]", "model2"])
SOUND = st.binary(max_size=60) | st.lists(
    st.sampled_from([b"\r\n", b"--", b"b0", b"\n", b"\r", b"-", b"model", b'"', b":", b"{", b"x"]), max_size=12
).map(b"".join)


def part(name: str, content: bytes, *more: str, disposition: str | None = None) -> bytes:
    said = f'form-data; name="{name}"' if disposition is None else disposition
    head = "\r\n".join([f"Content-Disposition: {said}", *more])
    return head.encode() + b"\r\n\r\n" + content


def form(*parts: bytes, boundary: bytes = b"b0", end: bytes = b"\r\n") -> bytes:
    dash = b"--" + boundary
    return b"".join(b"%b\r\n%b\r\n" % (dash, one) for one in parts) + dash + b"--" + end


def read(body: bytes, kind: bytes = KIND) -> str | None:
    found = read_fields(body, kind, ("model",)).get("model")
    return None if found is None else found.value


SPOKEN = part("model", b"whisper-1")


def test_a_field_is_found_with_its_place() -> None:
    body = form(part("file", b"\x00\xff", "Content-Type: audio/mpeg"), SPOKEN)
    found = read_fields(body, KIND, ("model", "stream"))
    at = body.index(b"whisper-1")
    assert found == {"model": Field("whisper-1", body.rindex(b"Content-Disposition"), at, at + 9)}


@pytest.mark.parametrize(
    "kind",
    [
        b'multipart/form-data; boundary="b0"',
        b"Multipart/Form-Data;BOUNDARY=b0",
        b"multipart/form-data; charset=utf-8; boundary=b0;",
    ],
)
def test_the_header_may_be_written_in_some_ways(kind: bytes) -> None:
    assert read(form(SPOKEN), kind) == "whisper-1"


@pytest.mark.parametrize(
    "boundary", ["----WebKitFormBoundary7MA4YWxkTrZu0gW", "----formdata-undici-0123", "a=b", "'()+_,-./:=?0"]
)
def test_boundaries_of_clients_are_known(boundary: str) -> None:
    kind = b"multipart/form-data; boundary=" + boundary.encode()
    assert read(form(SPOKEN, boundary=boundary.encode()), kind) == "whisper-1"


def test_a_field_may_say_that_it_is_text() -> None:
    more = ("Content-Type: text/plain; charset=UTF-8", "Content-Length: 2", "Content-Transfer-Encoding: 8bit")
    said = form(part("model", "é".encode(), *more), part("file", b"x", "Content-Length: 1"))
    assert read(said) == "é"
    assert with_field(said, KIND, "model", "abc") == form(
        part("model", b"abc", more[0], more[2]), part("file", b"x", "Content-Length: 1")
    )
    latin = "Content-Type: text/plain; charset=ISO-8859-1"
    assert read(form(part("model", b"m", latin))) == "m"
    with pytest.raises(FramingError, match="no text"):
        read(form(part("model", "é".encode(), latin)))
    assert read(form(part("model", b""))) == ""
    assert read(form(part("model", b"m", disposition="form-data; name=model")), KIND) == "m"
    assert read(form()) is None


@given(st.lists(st.tuples(NAMES, LINES, st.none() | SOUND), max_size=6))
def test_what_an_sdk_writes_is_read(fields: list[tuple[str, str, bytes | None]]) -> None:
    """httpx writes the forms of the official SDK."""
    texts = {name: text for name, text, _ in fields}
    files = [("file", ('a "b"\\c.mp3', sound)) for _, _, sound in fields if sound is not None]
    request = httpx.Request("POST", "http://h/", data=texts, files=files or [("file", b"x")])
    body, kind = request.read(), request.headers["content-type"].encode()
    found = read_fields(body, kind, ("model", "stream"))
    assert {name: field.value for name, field in found.items()} == {
        name: text for name, text in texts.items() if name in ("model", "stream")
    }


FIRST = st.sampled_from([b"", b"\r\n"])  # as Unity writes it
LAST = st.sampled_from([b"", b"\r\n", b"\r\n\r\n", b"\n"])  # older Rubys have two lines


@given(SOUND, LINES, LINES, SOUND, FIRST, LAST)
@example(b"", "", "", b"", b"\r\n", b"\r\n\r\n")
def test_a_field_is_changed_and_nothing_else(
    before: bytes, old: str, new: str, after: bytes, first: bytes, last: bytes
) -> None:
    parts = [part("file", before), part("model", old.encode()), part("image", after)]
    body = first + form(*parts, end=last)
    assume(b"--b0" not in before + old.encode() + new.encode() + after)
    changed = first + form(parts[0], part("model", new.encode()), parts[2], end=last)
    assert with_field(body, KIND, "model", new) == changed
    assert with_field(with_field(body, KIND, "model", new), KIND, "model", old) == body


@given(
    st.lists(st.tuples(NAMES, SOUND), min_size=1, max_size=4), st.binary(max_size=8), st.integers(0, 400), FIRST, LAST
)
def test_no_other_reader_finds_another_model(
    parts: list[tuple[str, bytes]], noise: bytes, where: int, first: bytes, last: bytes
) -> None:
    """What is not refused reads the same with Python's own parser, which takes LF for a line's end, too."""
    body = first + form(*(part(name, content) for name, content in parts), end=last)
    body = body[:where] + noise + body[where:]
    try:
        mine = read(body)
    except FramingError:
        return
    message = BytesParser(policy=email.policy.HTTP).parsebytes(b"Content-Type: " + KIND + b"\r\n\r\n" + body)
    theirs = [
        one.get_payload(decode=True)
        for one in message.iter_parts()
        if one.get_param("name", header="content-disposition") == "model"
    ]
    assert [b"" if mine is None else mine.encode()] == (theirs or [b""])


SPELLED = st.tuples(*[st.sampled_from(sorted({one, one.upper(), "ſ" if one == "s" else one})) for one in "stream"])


@given(SPELLED.map("".join), st.lists(NAMES, unique=True, max_size=4), st.integers(0, 4))
def test_a_name_stands_in_its_own_case_only(name: str, others: list[str], at: int) -> None:
    parts = [part(one, b"x") for one in others if one != "stream"]
    body = form(*parts[:at], part(name, b"true"), *parts[at:])
    if name == "stream":
        assert read_fields(body, KIND, ("model", "stream"))["stream"].value == "true"
    else:
        with pytest.raises(FramingError, match="'stream' is spelled in another case"):
            read_fields(body, KIND, ("model", "stream"))


@given(SOUND | st.binary(max_size=200), st.binary(max_size=60) | st.just(KIND))
def test_garbage_is_refused_or_read(body: bytes, kind: bytes) -> None:
    for garbage in (body, b"--b0\r\n" + body, form(body)):
        with suppress(FramingError):
            read_fields(garbage, kind, ("model",))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "begin"),
        (b"\r\n\r\n" + form(SPOKEN), "begin"),
        (b"\n" + form(SPOKEN), "begin"),
        (b"preamble\r\n" + form(SPOKEN), "begin"),
        (form(SPOKEN, end=b"\r\n--b0\r\n"), "follows"),
        (form(SPOKEN, end=b"epilogue"), "follows"),
        (form(SPOKEN, end=b"\r\n "), "follows"),
        (form(SPOKEN)[:-4], "stand alone"),
        (form(SPOKEN)[:-10], "no end"),
        (form(SPOKEN).replace(b"\r\n", b"\n"), "stand alone"),
        (form(part("file", b"a\n--b0\nContent-Disposition: form-data; name=model\n\nb")), "no end"),
        (form(part("file", b"a--b0b")), "no end"),
        (form(part("file", b"a\r\n--b0b")), "stand alone"),
        (b"--b0\r\n" + part("model", b"")[:-2] + b"\r\n--b0--\r\n", "no end"),
        (form(SPOKEN, SPOKEN), "twice"),
        (form(SPOKEN, part("MODEL", b"m")), "another case"),
        (form(part("Model", b"m", disposition="form-data; name=Model; filename=m")), "another case"),
        (form(part("model", b"m", disposition='form-data; name="model"; name="x"')), "twice"),
        (form(part("model", b"m", "content-disposition: form-data; name=x")), "plain headers"),
        (form(part("model", b"m", " folded")), "plain headers"),
        (form(part("model", b"m", "A\n: b")), "plain headers"),
        (form(part("model", b"m", disposition="form-data; name*=utf-8''model")), "plain name"),
        (form(part("model", b"m", disposition="form-data; name=\"x\"; name*=utf-8''model")), "twice"),
        (form(part("file", b"m", disposition='form-data; filename="a\\"; name="model"')), "plain ones"),
        (form(part("file", b"m", disposition='form-data; filename="a\\"b"; name="file"')), "plain ones"),
        (form(part("file", b"m", disposition="form-data; name=x; name*0=mo; name*1=del")), "twice"),
        (form(part("file", b"m", disposition="form-data; name*0=model")), "plain name"),
        (form(part("file", b"m", disposition="form-data; filename=x")), "plain name"),
        (form(part("mo\\del", b"m")), "plain name"),
        (form(part("_charset_", b"utf-7"), SPOKEN), "plain name"),
        (form(part("file", b"m", "Content-Length: 20"), SPOKEN), "long as it says"),
        (form(part("file", b"m", disposition="attachment; name=model")), "no form-data"),
        (form(b"X: y\r\n\r\nm"), "no form-data"),
        (form(part("model", b"m", disposition='form-data; name="model"; filename="m"')), "no text"),
        (form(part("model", b"bQ==", "Content-Transfer-Encoding: base64")), "no text"),
        (form(part("model", b"m\0", "Content-Type: text/plain; charset=utf-16")), "no text"),
        (form(part("model", b'"m"', "Content-Type: application/json")), "no text"),
        (form(part("model", b"\xff")), "UTF-8"),
        (form(part("model", b"a\nb")), "line"),
        (form(part("model", b"m" * (MAX_VALUE + 1))), "bytes"),
        (form(part("file", b"", "X: " + "y" * MAX_HEAD)), "no head"),
        (form(*[part("x", b"")] * (MAX_PARTS + 1)), "more than"),
    ],
)
def test_what_parsers_may_read_differently_is_refused(body: bytes, problem: str) -> None:
    with pytest.raises(FramingError, match=problem):
        read(body)


@pytest.mark.parametrize(
    "kind",
    [
        b"",
        b"application/json",
        b"multipart/form-data",
        b"multipart/form-data-more; boundary=b0",
        b'multipart/form-data; boundary=""',
        b"multipart/form-data; boundary=b0; boundary=b1",
        b"multipart/form-data; boundary=b0; boundary*0=b1",
        b"multipart/form-data; boundary*0=b1; boundary=b0",
        b"multipart/form-data; boundary=b0 b1",
        b'multipart/form-data; boundary="' + b"b" * 71 + b'"',
        b"multipart/form-data, multipart/form-data; boundary=b0",
    ],
)
def test_a_header_that_is_no_forms_is_refused(kind: bytes) -> None:
    with pytest.raises(FramingError):
        read(form(SPOKEN), kind)


def test_a_value_that_the_form_cannot_say_is_refused() -> None:
    body = form(SPOKEN)
    for value in ("a\r\nb", "a--b0", "m" * (MAX_VALUE + 1)):
        with pytest.raises(FramingError):
            with_field(body, KIND, "model", value)
    with pytest.raises(FramingError, match="there is no field"):
        with_field(body, KIND, "stream", "true")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["model", "Model", "mod%65l", "+model", "model[]", "%6Dodel", "models", "x", "the+model"])
            | st.text(alphabet="model=&;%+[]", max_size=8),
            st.text(alphabet='ab={}"&;', max_size=8),
        ),
        max_size=5,
    ),
    st.sampled_from("&;"),
)
def test_a_field_that_a_reader_of_pairs_finds_is_seen(pairs: list[tuple[str, str]], between: str) -> None:
    body = between.join(f"{name}={value}" for name, value in pairs)
    for separator in "&;":
        for name, _ in parse_qsl(body, keep_blank_values=True, separator=separator):
            if name.strip().lower() in ("model", "model[]"):
                assert may_be_pairs_of(body.encode(), ("model",))


@pytest.mark.parametrize(
    "body", [b"", b'{"model": "a"}', b'{"p": "a & models=b; x model=c"}', b"\xff&=", b"modelled=1"]
)
def test_no_field_is_seen_where_there_is_none(body: bytes) -> None:
    assert not may_be_pairs_of(body, ("model",))
