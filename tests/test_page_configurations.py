"""Every configuration that a page shows is one: it is read, and nothing is wrong or doubtful about it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import trustme

from ds2api_asgi.gateway import Gateway
from ds2api_asgi.gateway.config import Examined, examine
from snippets import PAGES, Block, pages, read

if not PAGES.exists():
    pytest.skip("not a checkout: docs is not part of a source distribution", allow_module_level=True)

KNOWN = {"openai": "openai", "claude": "anthropic", "gemini": "gemini", "local": "llama.cpp"}
"""What fragments call their upstreams, and the presets of these."""


def _configurations(page: str) -> list[Block]:
    """Blocks of TOML that are a gateway's or a part of one; files of another name are something else."""
    return [block for block in read(PAGES / page) if block.language == "toml" and block.title in ("", "gateway.toml")]


WITH_CONFIGURATIONS = [name for name in pages() if _configurations(name)]


def completed(text: str) -> str:
    """A fragment with the upstreams that it speaks of."""
    document = tomllib.loads(text)
    upstreams = document.get("upstreams", {})
    lacking = [name for name, table in upstreams.items() if "preset" not in table and "protocol" not in table]
    spoken = [
        target["upstream"] if isinstance(target, dict) else target.partition("/")[0]
        for model in document.get("models", {}).values()
        for target in model["targets"]
    ]
    spoken += [upstream for rule in document.get("rules", []) for upstream in rule.get("upstreams", [])]
    spoken += [document["router"]["default"]] if "default" in document.get("router", {}) else []
    lacking += [name for name in spoken if name not in upstreams]
    if not upstreams and not lacking:
        lacking = ["openai"]
    tables = [f'[upstreams.{name}]\npreset = "{KNOWN[name]}"\n' for name in dict.fromkeys(lacking)]
    return text + "\n" + "\n".join(tables)


def _environ(text: str) -> dict[str, str]:
    names = re.findall(r'"env:(\w+)"', text)
    return {name: "redis://127.0.0.1:6379/0" if "URL" in name else f"key-of-{name.lower()}-1" for name in names}


def examined(text: str, folder: Path) -> Examined:
    """What is found in a configuration whose secrets are there."""
    for name in re.findall(r'"file:([^"]+)"', text):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"key-of-{Path(name).stem}-1")
    for name in re.findall(r'cafile = "([^"]+)"', text):
        trustme.CA().cert_pem.write_to_path(str(folder / name))
    (folder / "gateway.toml").write_text(text)
    (folder / "gateway.toml").chmod(0o600)
    return examine(folder / "gateway.toml", environ=_environ(text))


@pytest.mark.parametrize("name", WITH_CONFIGURATIONS)
def test_a_page_shows_configurations_that_work(name: str, tmp_path: Path) -> None:
    for block in _configurations(name):
        whole = completed(block.code)
        found = examined(whole, tmp_path)
        assert [str(problem) for problem in found.problems] == [], block.code
        if whole.strip() == block.code.strip():
            assert [str(doubt) for doubt in found.warnings] == [], block.code


@pytest.mark.parametrize("name", WITH_CONFIGURATIONS)
def test_a_gateway_is_built_of_what_a_page_shows(name: str, tmp_path: Path) -> None:
    for block in _configurations(name):
        config = examined(completed(block.code), tmp_path).config
        assert config is not None
        gateway = Gateway(config, folder=tmp_path)
        assert set(gateway.pools) == {name for name, upstream in config.upstreams.items() if upstream.keys}


def test_a_fragment_gets_what_it_speaks_of() -> None:
    assert "[upstreams.claude]" in completed('[models.smart]\ntargets = ["claude/claude-opus-5"]\n')
    assert tomllib.loads(completed("[upstreams.openai.retry]\nmax_attempts = 1\n"))["upstreams"]["openai"]["preset"]
