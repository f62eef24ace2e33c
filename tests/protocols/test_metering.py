"""The meter reads off an answer's bytes what the codec decodes from it, however the bytes are cut."""

from __future__ import annotations

import itertools
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, UnsetType

from ds2api_asgi.errors import InvalidDocument
from ds2api_asgi.protocols import metering
from ds2api_asgi.protocols.metering import MAX_METERED, Meter, Used
from ds2api_asgi.universal.events import Error
from ds2api_asgi.universal.response import Usage
from kits import KITS, Kit
from shared import corpus_bodies, needs_shared

every = pytest.mark.parametrize("kit", KITS.values(), ids=KITS)


def metered(pieces: list[bytes], *, stream: bool) -> Used | None:
    meter = Meter(stream=stream)
    for piece in pieces:
        meter.feed(piece)
    return meter.close()


def decoded(usage: Usage | UnsetType) -> Used | None:
    if usage is UNSET:
        return None
    values = {
        "input": usage.input_total,
        "output": usage.output_total,
        "cached": usage.cache_read,
        "reasoning": usage.reasoning,
        "audio_input": usage.audio_input,
        "audio_output": usage.audio_output,
    }
    if all(value is UNSET for value in values.values()):
        return None
    return Used(**{name: 0 if value is UNSET else value for name, value in values.items()})


def cut(data: bytes, pieces: int, seed: int) -> list[bytes]:
    chance = random.Random(seed)
    at = sorted({0, len(data), *chance.choices(range(len(data) + 1), k=pieces)})
    return [data[a:b] for a, b in itertools.pairwise(at)]


@needs_shared
@every
def test_every_recorded_stream_counts_what_the_codec_decodes_however_it_is_cut(kit: Kit) -> None:
    seen = 0
    for name, data in kit.streams():
        decoder = kit.protocol.stream_decoder()
        events = decoder.feed(data) + decoder.close()
        expected = decoded(kit.protocol.fold(events).usage)
        if expected is None and any(isinstance(event, Error) for event in events):
            continue  # the codec stops at an error; what was counted behind it was still paid for
        lines = not data.lstrip().startswith(b"[")  # Gemini's other form of a stream is one JSON array
        assert metered([data], stream=lines) == expected, name
        assert metered(cut(data, 25, len(data)), stream=lines) == expected, name
        if len(data) < 3_000:
            assert metered([data[at : at + 1] for at in range(len(data))], stream=lines) == expected, name
        seen += expected is not None
    assert seen > 5


@needs_shared
@every
def test_every_recorded_answer_counts_what_the_codec_decodes(kit: Kit) -> None:
    seen = 0
    for name, data in corpus_bodies(kit.corpus, "response"):
        try:
            expected = decoded(kit.protocol.decode_response(json.loads(data)).usage)
        except (InvalidDocument, ValueError):
            continue
        assert metered(cut(data, 9, len(data)), stream=False) == expected, name
        seen += expected is not None
    assert seen > 5


@given(st.binary(max_size=300), st.booleans(), st.integers(0, 99))
def test_garbage_counts_nothing_and_raises_nothing(data: bytes, stream: bool, seed: int) -> None:
    assert metered(cut(data, 5, seed), stream=stream) is None


TRAPS = [
    b'{"choices": [{"message": {"content": "\\"usage\\": {\\"prompt_tokens\\": 9}"}}]}',
    b'{"output": [{"arguments": {"usage": {"input_tokens": 9}}}]}',
    b'{"usage": null}',
    b'{"usage": []}',
    b'{"usage": {"prompt_tokens": "9", "completion_tokens": 1.5, "input_tokens": -1, "output_tokens": true}}',
    b'{"usage": {',
    b'{"response": 7, "usage": {}}',
    b"[" * 100_000 + b'"usage": {',
]


@pytest.mark.parametrize("trap", TRAPS, ids=range(len(TRAPS)))
@pytest.mark.parametrize("stream", [False, True])
def test_what_only_looks_like_counts_is_none(trap: bytes, stream: bool) -> None:
    assert metered([b"data: " + trap + b"\n\n" if stream else trap], stream=stream) is None


LINES = st.lists(
    st.sampled_from(
        [
            b'data: {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}',
            b'data: {"usage": null, "choices": []}',
            b'{"eval_count": 5, "prompt_eval_count": 6}',
            b"data: " + b"x" * 700,
            b": ping",
            b"",
        ]
    ),
    max_size=12,
)


@given(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]), st.integers(0, 99))
def test_any_cut_of_a_stream_counts_the_same(lines: list[bytes], end: bytes, seed: int) -> None:
    data = end.join(lines)
    assert metered(cut(data, 12, seed), stream=True) == metered([data], stream=True)


def test_what_is_too_long_is_not_kept_and_a_line_after_it_still_counts() -> None:
    meter = Meter(stream=True)
    for _ in range(2 * MAX_METERED // 65_536):
        meter.feed(b"x" * 65_536)
        assert sum(map(len, meter._parts)) <= MAX_METERED
    meter.feed(b'\n{"eval_count": 5}\n')
    assert meter.close() == Used(output=5)


ENDS = [
    (b'{"b64": "%b", "usage": {"prompt_tokens": 3, "output_tokens": 4}, "size": "1024x1024"}', Used(input=3, output=4)),
    (
        b'{"b64": "%b", "usage": {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}}}',
        Used(input=3, cached=2),
    ),
    (
        b'{"type": "response.completed", "response": {"a": "%b", "usage": {"input_tokens": 3}, "user": null}}',
        Used(input=3),
    ),
    (b'[{"inlineData": "%b", "usageMetadata": {"promptTokenCount": 3}, "modelVersion": "m"}]', Used(input=3)),
    (b'{"images": ["%b"], "done": true, "prompt_eval_count": 3, "eval_count": 4}', Used(input=3, output=4)),
    (b'{"b64": "%b", "tools": [{"usage": {"input_tokens": 9}}], "usage": {"input_tokens": 3}}', Used(input=3)),
    (b'{"b64": "%b", "text": "\\"usage\\": {\\"input_tokens\\": 9}"}', None),
    (b'{"b64": "%b", "output": [{"arguments": {"usage": {"input_tokens": 9}}}]}', None),
    (b'{"b64": "%b", "usage": {"input_tokens": 9}', None),
    (b'{"b64": "%b", "usage": {"input_tokens"', None),
]


@pytest.mark.parametrize(("answer", "expected"), ENDS, ids=range(len(ENDS)))
@pytest.mark.parametrize("stream", [False, True])
@given(size=st.integers(0, 400), seed=st.integers(0, 99))
def test_counts_behind_what_is_too_long_count(
    answer: bytes, expected: Used | None, stream: bool, size: int, seed: int
) -> None:
    whole = answer % (b"A" * size)
    if stream:
        whole = b"data: " + whole + b"\n\n"
    with pytest.MonkeyPatch.context() as bound:
        bound.setattr(metering, "MAX_METERED", 250)
        assert metered(cut(whole, 6, seed), stream=stream) == expected


def test_counts_behind_a_picture_count() -> None:
    pieces = [b'{"b64": "', *[b"A" * 65_536] * 80, b'", "usage": {"prompt_tokens": 3}}']
    assert metered(pieces, stream=False) == Used(input=3)
