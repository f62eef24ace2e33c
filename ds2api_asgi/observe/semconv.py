"""What OpenTelemetry's conventions for generative AI call things, as far as we tell them.

They are still in development and have no package of their own: the constants of opentelemetry-semantic-conventions are
marked as moved to https://github.com/open-telemetry/semantic-conventions-genai (read 2026-11-23). A test holds these
against them, so that a name changes here and never by an upgrade.
"""

from __future__ import annotations

from typing import Final

from ..protocols.base import Operation

__all__ = [
    "CACHE_CREATION",
    "CACHE_READ",
    "CAPTURE",
    "CLIENT_DURATION",
    "CLIENT_FIRST_CHUNK",
    "CLIENT_TOKENS",
    "CONVERSATION",
    "ERROR_TYPE",
    "FINISH_REASONS",
    "FIRST_CHUNK",
    "FREQUENCY_PENALTY",
    "INPUT_MESSAGES",
    "INPUT_TOKENS",
    "MAX_TOKENS",
    "OPERATION",
    "OUTPUT_MESSAGES",
    "OUTPUT_TOKENS",
    "OUTPUT_TYPE",
    "PRESENCE_PENALTY",
    "PROVIDER",
    "REASONING_TOKENS",
    "REQUEST_CHOICES",
    "REQUEST_MODEL",
    "REQUEST_SEED",
    "REQUEST_STREAM",
    "RESPONSE_ID",
    "RESPONSE_MODEL",
    "SERVER_ADDRESS",
    "SERVER_DURATION",
    "SERVER_FIRST_TOKEN",
    "SERVER_PER_TOKEN",
    "SERVER_PORT",
    "STOP_SEQUENCES",
    "SYSTEM_INSTRUCTIONS",
    "TEMPERATURE",
    "TOKEN_TYPE",
    "TOOL_DEFINITIONS",
    "TOP_K",
    "TOP_P",
    "operation_name",
    "provider_name",
    "wants_contents",
]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
REQUEST_SEED: Final = "gen_ai.request.seed"
REQUEST_CHOICES: Final = "gen_ai.request.choice.count"
MAX_TOKENS: Final = "gen_ai.request.max_tokens"
TEMPERATURE: Final = "gen_ai.request.temperature"
TOP_P: Final = "gen_ai.request.top_p"
TOP_K: Final = "gen_ai.request.top_k"
FREQUENCY_PENALTY: Final = "gen_ai.request.frequency_penalty"
PRESENCE_PENALTY: Final = "gen_ai.request.presence_penalty"
STOP_SEQUENCES: Final = "gen_ai.request.stop_sequences"
CONVERSATION: Final = "gen_ai.conversation.id"
OUTPUT_TYPE: Final = "gen_ai.output.type"

RESPONSE_ID: Final = "gen_ai.response.id"
RESPONSE_MODEL: Final = "gen_ai.response.model"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - no password

INPUT_MESSAGES: Final = "gen_ai.input.messages"
OUTPUT_MESSAGES: Final = "gen_ai.output.messages"
SYSTEM_INSTRUCTIONS: Final = "gen_ai.system_instructions"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"

CLIENT_TOKENS: Final = "gen_ai.client.token.usage"
CLIENT_DURATION: Final = "gen_ai.client.operation.duration"
CLIENT_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
SERVER_DURATION: Final = "gen_ai.server.request.duration"
SERVER_FIRST_TOKEN: Final = "gen_ai.server.time_to_first_token"  # noqa: S105 - no password
SERVER_PER_TOKEN: Final = "gen_ai.server.time_per_output_token"  # noqa: S105 - no password

CAPTURE: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""The environment variable that asks for contents."""

_OPERATIONS: Final = {Operation.GENERATE: "chat", Operation.EMBED: "embeddings"}
_PROVIDERS: Final = {
    "openai-chat": "openai",
    "openai-responses": "openai",
    "openai-realtime": "openai",
    "anthropic": "anthropic",
    "gemini": "gcp.gemini",
}


def wants_contents(said: str | None) -> bool:
    """Whether the environment asks for contents in spans.

    Args:
        said: `CAPTURE`; OpenTelemetry's instrumentations know ``true``, ``span_only`` and ``span_and_event``. None: it
            is not set, which is no.
    """
    return (said or "").strip().lower() in ("true", "1", "span_only", "span_and_event")


def operation_name(protocol: str, operation: Operation) -> str:
    """What is asked for, as the conventions say it; our own word where they have none (``"list_models"``).

    Args:
        protocol: The protocol's name.
        operation: What is asked for.
    """
    if protocol == "gemini" and operation is Operation.GENERATE:
        return "generate_content"
    return _OPERATIONS.get(operation, operation.value)


def provider_name(protocol: str) -> str:
    """Who most likely answers in a protocol, for upstreams of which nobody said whose they are.

    Args:
        protocol: The protocol's name; itself where the conventions know no provider of it (``"ollama"``).
    """
    return _PROVIDERS.get(protocol, protocol)
