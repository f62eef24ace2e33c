"""``ds2api convert``: what goes where, and every exit code."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from commands import DS2API, shell
from ds2api_asgi import convert
from ds2api_asgi.gateway.cli import main

TO_OPENAI = ["--from", "anthropic", "--to", "openai-chat"]
HELLO = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Grüße"}]}
LOSSY = {**HELLO, "top_k": 40}
STREAM = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":'
    b'{"role":"assistant","content":"Hi"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


class Command:
    """Runs the command in this process with bytes on its standard input."""

    def __init__(self, capture: pytest.CaptureFixture[bytes], patch: pytest.MonkeyPatch) -> None:
        self._capture = capture
        self._patch = patch

    def __call__(self, *arguments: str, given: bytes = b"") -> tuple[int, bytes, list[dict[str, Any]]]:
        """The exit code, standard output, and the lines of JSON on standard error."""
        self._patch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
        code = main(["convert", *arguments])
        out, err = self._capture.readouterr()
        return code, out, [json.loads(line) for line in err.splitlines()]


@pytest.fixture
def command(capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(capsysbinary, monkeypatch)


def test_a_document_from_standard_input_goes_to_standard_output_with_a_line_end(command: Command) -> None:
    given = json.dumps(HELLO).encode()
    code, out, told = command("--kind", "request", *TO_OPENAI, given=given)
    expected = convert(given, kind="request", source="anthropic", target="openai-chat")
    assert (code, out, told) == (0, expected.body + b"\n", [])


@pytest.mark.parametrize("dash", [[], ["-"]])
def test_a_file_and_standard_input_give_the_same(command: Command, tmp_path: Path, dash: list[str]) -> None:
    file = tmp_path / "request.json"
    file.write_text(json.dumps(HELLO))
    from_file = command("--kind", "request", *TO_OPENAI, str(file))
    assert from_file == command("--kind", "request", *TO_OPENAI, *dash, given=file.read_bytes())


def test_losses_are_told_line_by_line_and_the_document_is_given(command: Command) -> None:
    code, out, told = command("--kind", "request", *TO_OPENAI, given=json.dumps(LOSSY).encode())
    assert code == 0
    assert "top_k" not in json.loads(out)
    assert [(loss["path"], loss["kind"]) for loss in told] == [("top_k", "dropped")]
    assert told[0]["severity"] in ("degraded", "semantic")
    assert told[0]["reason"]


def test_a_loss_is_told_even_where_its_path_is_no_text(command: Command) -> None:
    given = json.dumps({**HELLO, "half \ud83d": 1}).encode()
    code, out, told = command("--kind", "request", *TO_OPENAI, given=given)
    assert (code, json.loads(out)["messages"]) == (0, HELLO["messages"])
    assert [loss["path"] for loss in told] == ["ext.half \ud83d"]


def test_on_loss_reject_gives_no_document_but_the_losses(command: Command) -> None:
    code, out, told = command("--kind", "request", *TO_OPENAI, "--on-loss", "reject", given=json.dumps(LOSSY).encode())
    assert (code, out) == (3, b"")
    assert [loss["path"] for loss in told] == ["top_k"]


def test_on_loss_reject_gives_a_document_that_loses_nothing(command: Command) -> None:
    code, out, _ = command("--kind", "request", *TO_OPENAI, "--on-loss", "reject", given=json.dumps(HELLO).encode())
    assert code == 0
    assert json.loads(out)["messages"] == HELLO["messages"]


def test_a_stream_is_given_byte_for_byte(command: Command) -> None:
    code, out, _ = command("--kind", "stream", "--from", "openai-chat", "--to", "anthropic", given=STREAM)
    assert code == 0
    assert out == convert(STREAM, kind="stream", source="openai-chat", target="anthropic").body
    assert out.endswith(b"\n\n")
    assert b"event: message_stop" in out


def test_an_answer_and_an_error_are_converted_too(command: Command) -> None:
    answer = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": "Hi"}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    error = {"type": "error", "error": {"type": "not_found_error", "message": "No such model."}}
    code, out, _ = command("--kind", "response", *TO_OPENAI, given=json.dumps(answer).encode())
    assert (code, json.loads(out)["choices"][0]["message"]["content"]) == (0, "Hi")
    code, out, _ = command("--kind", "error", *TO_OPENAI, given=json.dumps(error).encode())
    assert (code, json.loads(out)["error"]["message"]) == (0, "No such model.")


@pytest.mark.parametrize(("given", "path"), [
    (b"{", ""),
    (b"[]", ""),
    (b'{"model": 5, "max_tokens": 9, "messages": []}', "model"),
    (b'{"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": 1}]}', "messages[0].content"),
])  # fmt: skip
def test_what_is_no_document_is_told_with_its_path(command: Command, given: bytes, path: str) -> None:
    code, out, told = command("--kind", "request", *TO_OPENAI, given=given)
    assert (code, out) == (1, b"")
    assert [problem["path"] for problem in told] == [path]
    assert told[0]["error"]


def test_dialects_are_passed_on(command: Command) -> None:
    given = {"model": "m", "max_completion_tokens": 9, "temperature": 0.5, "messages": HELLO["messages"]}
    arguments = ("--kind", "request", "--from", "openai-chat", "--to", "anthropic", "--to-dialect", "2026-10-21")
    code, out, told = command(*arguments, given=json.dumps(given).encode())
    assert code == 0
    assert "temperature" not in json.loads(out)
    assert "temperature" in [loss["path"] for loss in told]


def test_an_unknown_protocol_is_wrong_usage(command: Command) -> None:
    code, out, told = command("--kind", "request", "--from", "klingon", "--to", "anthropic")
    assert (code, out) == (2, b"")
    assert "klingon" in told[0]["error"]


def test_a_file_that_is_not_there_is_wrong_usage(command: Command, tmp_path: Path) -> None:
    code, _, told = command("--kind", "request", *TO_OPENAI, str(tmp_path / "absent.json"))
    assert code == 2
    assert told[0]["error"].endswith("absent.json: No such file or directory")


@pytest.mark.parametrize(
    "arguments", [[], ["--kind", "poem", *TO_OPENAI], ["--kind", "request", "--from", "anthropic"]]
)
def test_missing_and_unknown_arguments_are_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["convert", *arguments])
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        ("<&-", "cannot read -: Bad file descriptor"),
        ("< REQUEST >&-", "cannot write the document: Bad file descriptor"),
        ("< REQUEST > /dev/full", "cannot write the document: No space left on device"),
        ("< REQUEST 2>&- >&-", ""),
        ("< REQUEST > >(exec <&-; sleep 0.2)", ""),
    ],
)
def test_a_closed_full_or_broken_stream_is_told_plainly(redirection: str, said: str, tmp_path: Path) -> None:
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    file = tmp_path / "request.json"
    file.write_text(
        json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x" * 200_000}]})
    )
    command = " ".join([*DS2API, "convert --kind request --from anthropic --to openai-chat"])
    done = shell(f"{command} {redirection.replace('REQUEST', str(file))}")
    assert done.returncode == 2
    assert [json.loads(line) for line in done.stderr.splitlines()] == ([{"error": said}] if said else [])


@pytest.mark.parametrize(
    ("stream", "path", "query"),
    [([], "/v1beta/models/m:generateContent", ""), (["--stream"], "/v1beta/models/m:streamGenerateContent", "alt=sse")],
)
def test_what_the_path_says_is_told_where_the_body_does_not(
    command: Command, stream: list[str], path: str, query: str
) -> None:
    given = json.dumps(HELLO).encode()
    code, out, told = command("--kind", "request", "--from", "anthropic", "--to", "gemini", *stream, given=given)
    assert (code, "model" in json.loads(out)) == (0, False)
    assert told[0] == {"route": {"method": "POST", "path": path, "query": query}}


def test_no_path_is_told_where_no_model_is_known(command: Command) -> None:
    given = json.dumps({"contents": [{"parts": [{"text": "a"}]}]}).encode()
    code, _, told = command("--kind", "request", "--from", "gemini", "--to", "gemini", given=given)
    assert (code, told) == (0, [])


def test_the_model_and_the_stream_of_a_path_are_arguments(command: Command) -> None:
    given = json.dumps({"contents": [{"parts": [{"text": "a"}]}]}).encode()
    arguments = ("--kind", "request", "--from", "gemini", "--to", "openai-chat", "--model", "m", "--stream")
    code, out, _ = command(*arguments, given=given)
    document = json.loads(out)
    assert (code, document["model"], document["stream"]) == (0, "m", True)
