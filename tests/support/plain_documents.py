"""Requests and answers that are plain, and the same with something odd in them, as bytes.

An odd thing is one that a reader of plain ones may overlook: an unknown member, a null, another type, a number that is
spelled in a way of its own, a member that is there twice, half an emoji, a byte order mark.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

__all__ = ["answers", "requests"]


class _Verbatim(str):
    """JSON text that is written as it is."""

    __slots__ = ()


class _Twice(list[Any]):
    """Values of a member that is there several times."""


def _dumps(value: Any) -> str:
    if isinstance(value, _Verbatim):
        return str(value)
    if isinstance(value, dict):
        pairs = [
            (key, each)
            for key, member in value.items()
            for each in (member if isinstance(member, _Twice) else [member])
        ]
        return "{" + ", ".join(f"{json.dumps(key)}: {_dumps(member)}" for key, member in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dumps, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


_said = st.sampled_from(["Hi", "Gr\u00fc\u00dfe\n", "\U0001f600 so", 'a "b" \\, }', "end ", "\u2028x"]) | st.text(
    st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6
)
_blocks = st.lists(_said.map(lambda text: {"type": "text", "text": text}), max_size=2, min_size=1)
_contents = st.one_of(_said, _said, _blocks)
_numbers = st.sampled_from(
    [*["0", "1", "0.7", "0.70", "1.0", "0.1234567890123"] * 2, "1.5", "1.5", "1e0", "-1", "null", "true", '"1"']
).map(_Verbatim)
_stops = st.sampled_from([1, 1, 2, 2, 4, 5, 0]).flatmap(
    lambda length: st.lists(_said, min_size=length, max_size=length)
)
_counts = st.sampled_from([*[0, 1, 7, 20] * 4, _Verbatim("-0")])
_more = st.integers(40, 80)
_few = st.sampled_from([None, 0, 3])
_USUAL_ROLES = [("user",), ("user", "assistant", "user")] * 3
_ROLES = [*_USUAL_ROLES, ("user", "user"), ("user", "assistant"), ("assistant", "user"), ("user", "system", "user"), ()]
_nothing = st.none() | st.just([])


@st.composite
def _conversation(draw: st.DrawFn) -> list[dict[str, Any]]:
    return [{"role": role, "content": draw(_contents)} for role in draw(st.sampled_from(_ROLES))]


def _sometimes(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=optional)


def _shuffled(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(_sometimes(**optional), st.permutations(sorted(optional))).map(
        lambda drawn: {name: drawn[0][name] for name in drawn[1] if name in drawn[0]}
    )


_lost = st.sampled_from([None, 0, 0.5, "x", [], {}, {"id": "cost", "cost": [1e-7]}, [{"x": None}]])
_anthropic_request = st.builds(
    lambda messages, more: {"model": "claude", "max_tokens": 9, "messages": messages, **more},
    _conversation(),
    _sometimes(
        system=_contents,
        temperature=_numbers,
        top_p=_numbers,
        stop_sequences=_stops,
        stream=st.just(value=False),
        metadata=st.just({"user_id": "u"}),
    ),
)
_openai_request = st.builds(
    lambda system, messages, bound, more: {"model": "gpt", "messages": [*system, *messages], **bound, **more},
    st.lists(_contents.map(lambda content: {"role": "system", "content": content}), max_size=1),
    _conversation(),
    st.sampled_from([{"max_tokens": 9}, {"max_completion_tokens": 9}, {}]),
    _sometimes(
        temperature=_numbers,
        top_p=_numbers,
        stop=_said | _stops,
        stream=st.just(value=False),
        user=st.just("u"),
    ),
)
_anthropic_answer = st.builds(
    lambda text, usage, more: {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4, **usage},
        **more,
    },
    _said,
    _sometimes(
        cache_read_input_tokens=_counts,
        cache_creation_input_tokens=_counts,
        cache_creation=st.just({"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 0}) | st.none(),
        output_tokens_details=st.just({"thinking_tokens": 2}),
        server_tool_use=st.none(),
        service_tier=st.sampled_from(["standard", "priority", "batch", "x", None]),
        inference_geo=st.sampled_from(["us", None, ""]),
    ),
    _sometimes(
        stop_reason=st.just("max_tokens"), stop_details=st.none(), container=st.none(), context_management=st.none()
    ),
)
_openai_answer = st.builds(
    lambda message, choice, given, made, usage, more: {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "gpt",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop", **choice}],
        "usage": {
            "prompt_tokens": given,
            "completion_tokens": made,
            "total_tokens": given + made,
            **usage,
        },
        **more,
    },
    st.fixed_dictionaries(
        {"content": _said},
        optional={
            "refusal": st.none(),
            "annotations": _nothing,
            "tool_calls": _nothing,
            "function_call": st.none(),
            "audio": st.none(),
            "reasoning_content": st.none(),
            "reasoning": st.none(),
        },
    ),
    _sometimes(finish_reason=st.just("length"), logprobs=st.none(), stop_reason=st.none(), token_ids=st.none())
    | _sometimes(content_filter_results=_lost, native_finish_reason=st.sampled_from(["x", None]), seed=_lost),
    _more,
    _more,
    st.builds(
        lambda details, lost: {**details, **lost},
        _sometimes(
            prompt_tokens_details=st.none()
            | _sometimes(cached_tokens=st.integers(0, 20), audio_tokens=_counts, cache_write_tokens=st.integers(0, 20))
            | _sometimes(cached_tokens=st.integers(0, 20), text_tokens=_few, video_tokens=_few),
            completion_tokens_details=st.none()
            | _sometimes(
                reasoning_tokens=_counts,
                audio_tokens=_counts,
                accepted_prediction_tokens=_counts,
                rejected_prediction_tokens=_counts,
            )
            | _sometimes(reasoning_tokens=_counts, image_tokens=_few),
        ),
        st.just({})
        | _sometimes(cost=_lost, is_byok=_lost, cost_details=_lost, service_tier=_lost)
        | _shuffled(completion_time=_lost, queue_time=_lost, total_time=_lost, prompt_time=_lost),
    ),
    _sometimes(
        service_tier=st.sampled_from(["default", "priority", "flex", "x", None]),
        system_fingerprint=st.sampled_from(["fp", "", None]),
        prompt_logprobs=st.none(),
        prompt_token_ids=st.none(),
        kv_transfer_params=st.none(),
    )
    | _shuffled(system_fingerprint=st.just("fp"), provider=st.just("x"), x_groq=_lost, prompt_filter_results=_lost),
)

_ODD_NUMBERS = [
    _Verbatim(text) for text in ("-0", "1.0", "1e1", "-3", "1.5", "2", "1e400", "01", "NaN", "9" * 25, "9" * 5000)
]
_ODD_TEXTS = ["", "-0, ", " ", "\t", "x ", _Verbatim('"\\ud800"'), _Verbatim('"\\u0000"'), _Verbatim('"\\u00e9"')]
_ODD_LISTS = [
    [],
    [""],
    ["x", " "],
    ["x"] * 5,
    [{"type": "text", "text": ""}],
    [{"text": "x"}],
    [{"type": "text", "text": " "}],
]
_ODD = [
    *(None, True, False, 0, 1, {}, [{}], {"type": "ephemeral"}, {"message": "no"}, "text", "auto", "error"),
    _Verbatim("[" * 140 + "]" * 140),
    _Verbatim("[" * 9999 + "]" * 9999),
]
_ODD_WORDS: dict[str, list[Any]] = {
    "role": ["system", "developer", "assistant", "user", "tool", ""],
    "finish_reason": ["content_filter", "tool_calls", "eos", ""],
    "stop_reason": ["stop_sequence", "refusal", "pause_turn", "x"],
    "index": [1],
    "object": ["error", "chat.completion.chunk"],
    "type": ["error", "image", "text"],
    "reasoning_content": ["hm", ""],
    "total_tokens": [7],
    "stream": [True],
    "messages": [[], [{"role": "assistant", "content": "x "}], [{"role": "user", "content": "a"}] * 2],
}
_NAMES = [
    *("annotations", "cache_control", "choices", "citations", "content", "error", "extra", "finish_reason", "logprobs"),
    *("max_completion_tokens", "max_tokens", "metadata", "model", "n", "name", "object", "reasoning_content", "role"),
    *("seed", "stop_details", "stream", "stream_options", "system", "thinking", "tool_calls", "tools", "top_k", "type"),
    *(
        "usage",
        "prompt_cache_hit_tokens",
        "cached_tokens",
        "x_groq",
        "cost",
        "text_tokens",
        "provider",
        "function_call",
        "reasoning_details",
        "audio",
    ),
]


def _odd(key: str) -> st.SearchStrategy[Any]:
    kinds = [_ODD_NUMBERS, _ODD_TEXTS, _ODD_LISTS, _ODD, *([_ODD_WORDS[key]] * 4 if key in _ODD_WORDS else [])]
    return st.sampled_from(kinds).flatmap(st.sampled_from).map(deepcopy)


def _nodes(value: Any) -> list[dict[str, Any]]:
    """The objects in a document that are not the only ones at their place, outermost first."""
    inner = list(value.values()) if isinstance(value, dict) else value if type(value) is list else []
    return [*([value] if isinstance(value, dict) else []), *(node for each in inner for node in _nodes(each))]


@st.composite
def _mutated(draw: st.DrawFn, documents: st.SearchStrategy[dict[str, Any]], oddities: tuple[int, ...]) -> bytes:
    document = deepcopy(draw(documents))
    for _ in range(draw(st.sampled_from(oddities))):
        node = draw(st.sampled_from(_nodes(document)))
        key = draw(st.sampled_from([*sorted(node) * 4, *_NAMES]))
        match draw(st.sampled_from(["set", "set", "delete", "twice", "half"])):
            case "set":
                node[key] = draw(_odd(key))
            case "delete":
                node.pop(key, None)
            case "twice" if key in node and not isinstance(node[key], _Twice):
                node[key] = _Twice(draw(st.permutations([node[key], draw(_odd(key))])))
            case "half" if type(node.get(key)) is str:
                node[key] += draw(st.sampled_from(["\ud83d", "\udc00"]))
    body = _dumps(document).encode("utf-8", "surrogatepass")
    body = body.replace(b"\xed\xa0\xbd", b"\\ud83d").replace(b"\xed\xb0\x80", b"\\udc00")
    match draw(st.sampled_from([""] * 40 + ["mark", "cut", "more", "bytes"])):
        case "mark":
            return b"\xef\xbb\xbf" + body
        case "cut":
            return body[: draw(st.integers(0, len(body)))]
        case "more":
            return body + draw(st.sampled_from([b"\n", b" x", b"{}", b"\xff"]))
        case "bytes":
            return body.replace(b"Hi", b"\xff\xfe")
        case _:
            return body


_REQUESTS = {"anthropic": _anthropic_request, "openai-chat": _openai_request}
_ANSWERS = {"anthropic": _anthropic_answer, "openai-chat": _openai_answer}


def requests(protocol: str, oddities: tuple[int, ...] = (0, 0, 1, 1, 2)) -> st.SearchStrategy[bytes]:
    """Bodies of requests, plain but for as many odd things as one of these numbers says."""
    return _mutated(_REQUESTS[protocol], oddities)


def answers(protocol: str, oddities: tuple[int, ...] = (0, 0, 1, 1, 2)) -> st.SearchStrategy[bytes]:
    """Bodies of answers, plain but for as many odd things as one of these numbers says."""
    return _mutated(_ANSWERS[protocol], oddities)
