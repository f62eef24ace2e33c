"""``ds2api demo``: every part that exists, around the demo model, on a port."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import TextIO

from ...asgi.types import ASGIApp
from ...demo import DemoModel
from ...errors import ConfigurationError
from ...observe import Traced
from ...pool import KeyPool
from ...resilience import Retry
from ...stateful import StatefulResponses
from ...translator import Translator
from ..front import Front
from .arguments import port, reason_of
from .quickstart import snippets

__all__ = ["DEFAULT_KEYS", "DESCRIPTION", "configure", "demo_gateway", "run"]

DESCRIPTION = "Serve a gateway over a built-in model that needs no keys and no network. Ctrl-C ends it."

DEFAULT_KEYS = ("demo-key-1", "demo-key-2", "demo-key-3")

_MODEL = "demo-small"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1")
    parser.add_argument("--port", default=8000, type=port, help="0: any that is free; default: 8000")
    parser.add_argument("--pace", default=0.03, type=_pace, metavar="SECONDS", help="for each word; default: 0.03")
    parser.add_argument(
        "--keys",
        nargs="+",
        default=DEFAULT_KEYS,
        metavar="KEY",
        help="keys of the pool; one fails if it is told to, as in any-name+429 or any-name+500",
    )
    parser.add_argument("--log", metavar="FILE", help="write what happens to each request, for `ds2api explain FILE`")


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C (0); 1 when that is not possible."""
    try:
        from ..serving.uvicorn_server import listen, serve
    except ImportError:
        return _fail("serving needs uvicorn: pip install 'ds2api-asgi[serve]'")
    try:
        app = demo_gateway(keys=arguments.keys, pace=arguments.pace)
        if arguments.log is not None:
            app = _logged(app, arguments.log)
    except OSError as error:
        return _fail(f"cannot write {arguments.log}: {reason_of(error)}")
    except ConfigurationError as error:
        return _fail(str(error))
    try:
        listener = listen(arguments.host, arguments.port)
    except OSError as error:
        return _fail(f"cannot listen on {arguments.host}:{arguments.port}: {reason_of(error)}")
    with listener:
        base_url = _base_url(arguments.host, listener.getsockname()[1])
        serve(app, listener, ready=lambda: _announce(sys.stdout, base_url))
    return 0


def demo_gateway(*, keys: Sequence[str] = DEFAULT_KEYS, pace: float = 0.0) -> ASGIApp:
    """The demo model behind a key pool, retries, a translator, and the state of the Responses API.

    Args:
        keys: What the model accepts and the pool draws from; clients may send any key or none.
        pace: Seconds that each word of an answer takes.

    Raises:
        ConfigurationError: A key cannot be one.
    """
    pool = KeyPool(DemoModel(pace=pace, keys=keys), protocol="openai-chat", keys=keys)
    return StatefulResponses(Front(Translator(Retry(pool, protocol="openai-chat"), speaks="openai-chat")))


def _logged(app: ASGIApp, name: str) -> ASGIApp:
    """An app whose decisions are written to a file.

    Raises:
        OSError: It cannot be written.
    """
    handler = logging.FileHandler(name, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("ds2api_asgi.trace")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False  # failed requests would stand on the screen as well
    return Traced(app, usage=True)


def _base_url(host: str, port: int) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _announce(out: TextIO, base_url: str) -> None:
    """Tell that the gateway is ready, and what to ask it."""
    lines = [f"Ready: {base_url} (Ctrl-C ends it). Any API key will do."]
    for snippet in snippets(base_url, _MODEL):
        lines += ["", f"# {snippet.title}", snippet.text]
    out.write("\n".join([*lines, "", ""]))
    out.flush()


def _fail(problem: str) -> int:
    sys.stderr.write(f"ds2api demo: {problem}\n")
    return 1


def _pace(text: str) -> float:
    pace = float(text)
    if not 0 <= pace <= 60:
        raise argparse.ArgumentTypeError("a pace is 0 to 60 seconds")
    return pace
