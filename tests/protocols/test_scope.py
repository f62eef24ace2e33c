"""One run of an encoder: whose names and ids, and what is reported."""

from __future__ import annotations

import re

from ds2api_asgi.protocols.base import Context
from ds2api_asgi.protocols.scope import Scope, Target
from ds2api_asgi.universal.content import ToolCall, ToolResult
from ds2api_asgi.universal.jsontext import JsonText
from ds2api_asgi.universal.loss import LossKind
from ds2api_asgi.universal.node import Opaque, Origin
from ds2api_asgi.universal.request import Request

WORD = re.compile(r"\w{1,40}")
TARGET = Target(protocol="here", call_id=WORD, tool_name=WORD, max_tool_name=40)


def call(id_: str) -> ToolCall:
    return ToolCall(id=id_, name="f", arguments=JsonText("{}"))


def kinds(scope: Scope) -> dict[str, LossKind]:
    return {loss.path: loss.kind for loss in scope.losses}


def test_at_home_nothing_changes_and_nothing_is_lost() -> None:
    scope = Scope(TARGET, origin="here")
    assert (scope.tool_name("a b", "n"), scope.call_id(call("a b"), "c")) == ("a b", "a b")
    scope.ext({"x": 1}, "turns[0]")
    assert scope.losses == []


def test_from_elsewhere_names_and_ids_are_mapped_and_the_way_back_is_known() -> None:
    scope = Scope(TARGET, origin="elsewhere")
    name, id_ = scope.tool_name("a b", "tools[0].name"), scope.call_id(call("a b"), "c")
    assert scope.result_id(ToolResult(call_id="a b"), "r") == id_
    assert kinds(scope) == dict.fromkeys(["tools[0].name", "c.id", "r.call_id"], LossKind.APPROXIMATED)
    request = Request(origin=Origin(protocol="elsewhere"))
    context = scope.context(request, ["a b"])
    assert (context.tool_names, context.call_ids) == ({name: "a b"}, {id_: "a b"})
    assert context.custom_tools == {"a b", name}
    back = Scope(TARGET, origin="third", context=context)
    assert (back.tool_name(name, "n"), back.call_id(call(str(id_)), "c")) == ("a b", "a b")
    assert back.losses == []


def test_an_id_that_is_missing_is_invented_aloud() -> None:
    scope = Scope(TARGET, origin="elsewhere", context=Context())
    assert scope.call_id(ToolCall(name="f", arguments=JsonText("{}")), "c")
    assert kinds(scope) == {"c.id": LossKind.INVENTED}


def test_payloads_are_lost_by_who_could_have_read_them() -> None:
    scope = Scope(TARGET, origin="elsewhere")
    scope.opaque([Opaque(kind="signature", value="s", protocol=p) for p in ("here", "elsewhere")], "p")
    assert kinds(scope) == {"p.opaque[0]": LossKind.DROPPED, "p.opaque[1]": LossKind.ORIGIN_MISMATCH}


def test_a_null_is_no_loss() -> None:
    scope = Scope(TARGET, origin="elsewhere")
    scope.ext({"a": None, "b": 0}, "turns[0]")
    assert kinds(scope) == {"turns[0].ext.b": LossKind.DROPPED}
