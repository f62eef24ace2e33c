"""Providers as data: where each is, what it speaks, how it wants its key.

The pages were read on the dates beside them (`Preset.read`); a server of one's own has the address that its
documentation gives as the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ...errors import ConfigurationError
from .preset import Preset

__all__ = ["PRESETS", "Preset", "preset"]

_AZURE_PAGE: Final = "https://learn.microsoft.com/azure/ai-foundry/openai"

_ALL: Final = (
    Preset(
        name="openai",
        variables=("OPENAI_API_KEY",),
        variables_page="https://developers.openai.com/api/docs/libraries",
        families=("gpt-*", "o3*", "o4*", "text-embedding-*"),
        title="OpenAI",
        base_url="https://api.openai.com",
        page="https://platform.openai.com/docs/api-reference/chat",
        read="2026-11-23",
    ),
    Preset(
        name="openai-responses",
        variables=("OPENAI_API_KEY",),
        variables_page="https://developers.openai.com/api/docs/libraries",
        families=("gpt-*", "o3*", "o4*"),
        title="OpenAI, Responses",
        base_url="https://api.openai.com",
        protocol="openai-responses",
        page="https://platform.openai.com/docs/api-reference/responses",
        read="2026-11-23",
    ),
    Preset(
        name="anthropic",
        variables=("ANTHROPIC_API_KEY",),
        variables_page="https://github.com/anthropics/anthropic-sdk-python/blob/main/src/anthropic/_client.py",
        families=("claude-*",),
        title="Anthropic",
        base_url="https://api.anthropic.com",
        protocol="anthropic",
        header="x-api-key",
        quirks=("Every request states a version of the API; a Translator says it where the client does not.",),
        page="https://docs.anthropic.com/en/api/overview",
        read="2026-11-29",
    ),
    Preset(
        name="gemini",
        variables=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        variables_page="https://ai.google.dev/gemini-api/docs/api-key",
        families=("gemini-*",),
        title="Google Gemini",
        base_url="https://generativelanguage.googleapis.com",
        protocol="gemini",
        header="x-goog-api-key",
        page="https://ai.google.dev/api",
        read="2026-11-23",
    ),
    Preset(
        name="vertex",
        token_command=("gcloud", "auth", "print-access-token"),
        title="Google Vertex AI",
        base_url="https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}",
        protocol="gemini",
        defaults={"location": "global"},
        strip=r"(?:/v1(?:beta\d?|alpha)?)?(?:/projects/[^/]+/locations/[^/]+)?(?:/publishers/google)?",
        prefix="/publishers/google",
        quirks=(
            "In place of a key there is an OAuth access token, which lives for an hour.",
            "Models of other publishers (Anthropic's) have other paths and are not reached by this preset.",
        ),
        page="https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest-rpc",
        read="2026-11-29",
    ),
    Preset(
        name="azure",
        variables=("AZURE_OPENAI_API_KEY",),
        variables_page="https://github.com/openai/openai-python/blob/main/src/openai/lib/azure.py",
        lists=False,
        title="Azure OpenAI",
        base_url="https://{resource}.openai.azure.com/openai/v1",
        header="api-key",
        dialect="azure",
        quirks=(
            "The model of a request is the name of a deployment.",
            "Instead of a key it takes access tokens of Entra ID, which `token` fetches.",
        ),
        page="https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle",
        read="2026-11-29",
    ),
    Preset(
        name="azure-deployment",
        variables=("AZURE_OPENAI_API_KEY",),
        variables_page="https://github.com/openai/openai-python/blob/main/src/openai/lib/azure.py",
        lists=False,
        title="Azure OpenAI, one deployment",
        base_url="https://{resource}.openai.azure.com/openai/deployments/{deployment}",
        header="api-key",
        dialect="azure",
        defaults={"api_version": "2024-10-21"},
        strip="/v1",
        query="api-version={api_version}",
        quirks=(
            "The path names the deployment, so the model of a request counts for nothing.",
            "Lists of models are not served under a deployment.",
        ),
        page=f"{_AZURE_PAGE}/reference",
        read="2026-11-29",
    ),
    Preset(
        name="openrouter",
        variables=("OPENROUTER_API_KEY",),
        variables_page="https://github.com/OpenRouterTeam/python-sdk/blob/main/src/openrouter/utils/security.py",
        title="OpenRouter",
        base_url="https://openrouter.ai/api",
        dialect="openrouter",
        quirks=("Models are named vendor/model.", "Streams have comments while an upstream of theirs is awaited."),
        page="https://openrouter.ai/docs/api/reference/overview",
    ),
    Preset(
        name="groq",
        variables=("GROQ_API_KEY",),
        variables_page="https://console.groq.com/docs/quickstart",
        title="Groq",
        base_url="https://api.groq.com/openai",
        dialect="groq",
        page="https://console.groq.com/docs/openai",
        read="2026-11-29",
    ),
    Preset(
        name="mistral",
        variables=("MISTRAL_API_KEY",),
        variables_page="https://github.com/mistralai/client-python",
        families=("mistral-*", "ministral-*", "codestral-*"),
        title="Mistral",
        base_url="https://api.mistral.ai",
        dialect="mistral",
        page="https://docs.mistral.ai/api/endpoint/chat",
    ),
    Preset(
        name="deepseek",
        variables=("DEEPSEEK_API_KEY",),
        variables_page="https://api-docs.deepseek.com/quick_start/your_first_api_call",
        families=("deepseek-*",),
        title="DeepSeek",
        base_url="https://api.deepseek.com",
        dialect="deepseek",
        strip="/v1",
        quirks=("Its paths have no version.", "It also speaks Anthropic's protocol, at another address."),
        page="https://api-docs.deepseek.com/",
        read="2026-11-29",
    ),
    Preset(
        name="xai",
        variables=("XAI_API_KEY",),
        variables_page="https://docs.x.ai/developers/rest-api-reference/inference",
        families=("grok-*",),
        title="xAI",
        base_url="https://api.x.ai",
        dialect="xai",
        page="https://docs.x.ai/developers/rest-api-reference/inference",
        read="2026-11-29",
    ),
    Preset(
        name="together",
        variables=("TOGETHER_API_KEY",),
        variables_page="https://docs.together.ai/docs/quickstart",
        title="Together AI",
        base_url="https://api.together.ai",
        dialect="together",
        quirks=("Models are named vendor/model.",),
        page="https://docs.together.ai/docs/inference/openai-compatibility",
        read="2026-11-29",
    ),
    Preset(
        name="fireworks",
        variables=("FIREWORKS_API_KEY",),
        variables_page="https://docs.fireworks.ai/getting-started/quickstart",
        title="Fireworks AI",
        base_url="https://api.fireworks.ai/inference",
        dialect="fireworks",
        quirks=("Models are named accounts/fireworks/models/model.",),
        page="https://docs.fireworks.ai/api-reference/post-chatcompletions",
    ),
    Preset(
        name="cerebras",
        variables=("CEREBRAS_API_KEY",),
        variables_page="https://inference-docs.cerebras.ai/resources/openai",
        title="Cerebras",
        base_url="https://api.cerebras.ai",
        dialect="cerebras",
        page="https://inference-docs.cerebras.ai/resources/openai",
        read="2026-11-29",
    ),
    Preset(
        name="perplexity",
        variables=("PERPLEXITY_API_KEY",),
        variables_page="https://docs.perplexity.ai/docs/agent-api/openai-compatibility",
        title="Perplexity",
        base_url="https://api.perplexity.ai",
        protocol="openai-responses",
        dialect="perplexity",
        quirks=(
            "Models are named vendor/model, its own `perplexity/sonar`.",
            "It searches the web only with the tool `web_search`, and members that it does not know it answers by 400.",
            "Its Chat API (`sonar`) ended on 2026-09-27.",
        ),
        page="https://docs.perplexity.ai/docs/agent-api/openai-compatibility",
        read="2026-11-29",
    ),
    Preset(
        name="ollama",
        title="Ollama",
        base_url="http://localhost:11434",
        protocol="ollama",
        keyless=True,
        quirks=("Models in its cloud are asked at https://ollama.com, with a key.",),
        page="https://docs.ollama.com/api",
        read="2026-11-29",
    ),
    Preset(
        name="vllm",
        title="vLLM",
        base_url="http://localhost:8000",
        dialect="vllm",
        keyless=True,
        quirks=("With --api-key it wants a key; with --enable-auto-tool-choice it calls tools.",),
        page="https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html",
    ),
    Preset(
        name="llama.cpp",
        title="llama.cpp",
        base_url="http://localhost:8080",
        dialect="llama.cpp",
        keyless=True,
        quirks=("It serves one model, whatever a request names, unless it runs as a router.",),
        page="https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
    ),
    Preset(
        name="lm-studio",
        title="LM Studio",
        base_url="http://localhost:1234",
        dialect="compatible",
        keyless=True,
        quirks=("It can be told to want a key.",),
        page="https://lmstudio.ai/docs/developer/openai-compat",
        read="2026-11-29",
    ),
)

PRESETS: Final[Mapping[str, Preset]] = {one.name: one for one in _ALL}
"""All presets by name."""


def preset(name: str) -> Preset:
    """The preset of this name.

    Raises:
        ConfigurationError: There is none.
    """
    found = PRESETS.get(name)
    if found is None:
        raise ConfigurationError(f"unknown preset {name!r}; there are: {', '.join(sorted(PRESETS))}")
    return found
