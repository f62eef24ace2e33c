"""A configuration with every table and every member, and documents as TOML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

ENVIRON = {
    "OPENAI_KEY": "sk-openai-0123456789",
    "GROQ_KEY": "gsk-groq-0123456789",
    "CLIENT": "client-key-0123456789",
    "PASSWORD": "a-long-password",
    "TOKEN": "token-0123456789",
}

RETRY: dict[str, Any] = {
    "max_attempts": 2, "max_keys_tried": 3, "max_calls": 5, "deadline": 120, "wait_cap": 5.0, "backoff": 0.1,
    "backoff_cap": 2, "first_content_timeout": 300.0, "idle_timeout": 30.0, "content_timeout": 200.0,
    "early_commit_after": 15.0, "keep_pace": False, "client_timeouts": False, "timeout_header": "x-timeout-ms",
    "hedge": {"quantile": 0.9, "least": 0.5, "samples": 20, "share": 0.1, "window": 256},
    "breaker": {
        "consecutive": 4, "share": 0.6, "least": 10, "window": 20.0, "rest": 4.0, "longest_rest": 200.0, "jitter": 0.1,
        "probes": 1, "panic_interval": 2.0, "models": 50,
    },
    "budget": {"capacity": 50.0, "per_success": 0.2, "per_retry": 1.0},
}  # fmt: skip
LIMITS = {"rpm": 60, "tpm": 100_000, "rpd": 1_000, "tpd": 1_000_000, "concurrency": 8}

FULL: dict[str, Any] = {
    "upstreams": {
        "openai": {
            "preset": "openai",
            "parameters": {},
            "base_url": "https://api.openai.com",
            "dialect": "",
            "headers": {"x-team": "blue and green", "x-more": "env:TOKEN"},
            "proxy": "http://user:secret@proxy.example:3128",
            "tls": {"cafile": "cert.pem", "certfile": "cert.pem", "keyfile": "key.pem"},
            "keys": [
                "env:OPENAI_KEY",
                {
                    "secret": "a-literal-key", "alias": "second", "weight": 2.0, "quota_scope": "org",
                    "models": ["gpt-6"], "priority": 1, "limits": LIMITS, "model_limits": {"gpt-6": {"rpm": 5}},
                },
            ],
            "strategy": "affinity", "max_concurrency": 10, "max_total": 100, "queue_timeout": 5, "max_queue": 10,
            "resources": True, "conversation_header": "x-conversation", "connect_timeout": 5, "write_timeout": 20,
            "first_byte_timeout": 60, "idle_timeout": 60, "total_timeout": 600, "max_body": 1_000_000,
            "websockets": True, "retry": RETRY, "on_loss": "allow",
            "transforms": [
                {"type": "text-tools", "dialect": "hermes", "recognise": ["xml"], "reasoning": True, "eager": True,
                 "max_kept": 1000},
                {"type": "think-tags", "opening": "<t>", "closing": "</t>", "inside": True},
            ],
        },
        "azure": {"preset": "azure", "parameters": {"resource": "mine"}, "keys": ["env:GROQ_KEY"], "retry": False},
        "vertex": {
            "preset": "vertex", "parameters": {"project": "mine"}, "token": {"command": ["print-it"], "lifetime": 60}
        },
        "local": {"protocol": "openai-chat", "base_url": "http://localhost:8000", "dialect": "vllm"},
    },
    "models": {
        "smart": {
            "targets": [
                "openai/gpt-6",
                {"upstream": "azure", "model": "dep", "weight": 0.5, "priority": 1, "can": ["vision", "tools"]},
            ],
            "fallbacks": ["small"], "default": {"temperature": 0.5, "metadata": {"a": [1, "b"]}},
            "override": {"user": "gateway"}, "remove": ["logprobs"], "rename_answers": True, "listed": False,
            "transforms": [{"type": "think-tags"}],
        },
        "small": {"targets": ["local"]},
        "gpt-*": {"targets": ["openai"]},
    },
    "router": {"prefixes": True, "default": "openai", "per": "request", "rename_answers": True, "list_timeout": 5},
    "failover": {**RETRY, "fallback_on": ["context-window"]},
    "rules": [
        {
            "id": "plan", "then": "exhaust-key", "status": [403], "code": ["plan", 7], "message": "upgrade",
            "wait": 60, "reason": "content-policy", "upstreams": ["openai"],
        }
    ],
    "access": {
        "keys": [
            "env:CLIENT",
            {
                "key": "sha256:" + "9f" * 32, "name": "alice", "models": ["gpt-*", "smart"],
                "limits": {**LIMITS, "budget": 2_000_000, "budget_period": 3_600}, "share": 2.0, "disabled": False,
                "expires_at": datetime(2099, 1, 31, tzinfo=UTC),
            },
        ],
        "open": False,
        "others": "refuse",
    },
    "bounds": {
        "max_headers": 64, "max_header_bytes": 32_768, "max_url": 4_096, "max_body": 1_000_000, "max_depth": 64
    },
    "server": {
        "host": "127.0.0.1", "port": 8080, "server": "uvicorn", "workers": 2, "graceful_timeout": 10.0,
        "max_connections": 100, "root_path": "/llm", "trust_forwarded": ["10.0.0.1"], "certfile": "cert.pem",
        "keyfile": "key.pem",
    },
    "reload": {"watch": False, "interval": 2.0},
    "store": {"type": "redis", "url": "redis://localhost:6379/0", "on_failure": "refuse", "timeout": 2.0},
    "responses": {"type": "sqlite", "path": "responses.db", "ttl": 3600.0},
    "carry": {"secret": "env:TOKEN"},
    "log": {"format": "json", "level": "warning", "file": "gateway.log", "header": "x-ds2-trace"},
    "metrics": {"path": "/metrics", "token": "env:TOKEN", "max_models": 10},
    "telemetry": {"contents": True},
    "cost": {"prices": {"gpt-6": {"input": 1.25, "output": 10, "cached": 0.125}}},
    "console": {"path": "/console", "password": "env:PASSWORD", "session": 3600, "journal": 100},
}  # fmt: skip


def toml(document: dict[str, Any]) -> str:
    """A document as TOML: tables of two levels with headers of their own, all else in one line."""
    lines: list[str] = []
    for name, value in document.items():
        if not isinstance(value, dict):
            lines.append(f"{_key(name)} = {inline(value)}")
    for name, value in document.items():
        if isinstance(value, dict):
            plain = {key: member for key, member in value.items() if not _named(name, member)}
            lines += ["", f"[{_key(name)}]"] if plain or not value else []
            lines += [f"{_key(key)} = {inline(member)}" for key, member in plain.items()]
            for key, member in value.items():
                if _named(name, member):
                    lines += ["", f"[{_key(name)}.{_key(key)}]"]
                    lines += [f"{_key(inner)} = {inline(deep)}" for inner, deep in member.items()]
    return "\n".join(lines) + "\n"


def _named(table: str, member: Any) -> bool:
    return table in ("upstreams", "models") and isinstance(member, dict)


def _key(name: str) -> str:
    return name if name and name.replace("-", "").replace("_", "").isalnum() and name.isascii() else json.dumps(name)


def inline(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {inline(member)}" for key, member in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else repr(value)


def places(value: Any, above: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of everything in a document, tables too."""
    if above:
        yield above
    members: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in members:
        yield from places(member, (*above, name))


def changed(value: Any, place: tuple[str | int, ...], new: Any) -> Any:
    """A document with another value at a place."""
    if not place:
        return new
    step, *rest = place
    if isinstance(value, dict):
        return {**value, step: changed(value.get(step), tuple(rest), new)}
    return [changed(one, tuple(rest), new) if number == step else one for number, one in enumerate(value)]
