"""Does memory grow? The benchmarks' gateway answers many requests; its memory is read on the way.

    python benchmarks/soak.py                          # 100,000 requests; RSS after 10,000 and at the end
    python benchmarks/soak.py --requests 20000 --first 5000 --streams 0.2

It starts the demo model as the upstream and the gateway over it, each a process of its own, and asks OpenAI Chat
(passed through) and Anthropic (translated) in turn, some of it streamed, and breaks off some of the streams.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CONNECTIONS = 16
GROWTH = 0.03
"""How much more memory at the end is no growth: allocators and caches do not stand still to the page."""

OPENAI = ("/v1/chat/completions", '{"model":"demo-small","messages":[{"role":"user","content":"Hello"}]%s}')
ANTHROPIC = (
    "/v1/messages",
    '{"model":"demo-small","max_tokens":64,"messages":[{"role":"user","content":"Hello"}]%s}',
)


def request(number: int, streams: float) -> tuple[bytes, bool]:
    """The bytes of a request, and whether it asks for a stream."""
    path, body = (OPENAI, ANTHROPIC)[number % 2]
    streamed = (number * 7919 % 1000) < streams * 1000
    text = body % (',"stream":true' if streamed else "")
    head = f"POST {path} HTTP/1.1\r\nhost: soak\r\ncontent-type: application/json\r\nx-api-key: sk-soak\r\n"
    return f"{head}content-length: {len(text)}\r\n\r\n{text}".encode(), streamed


async def answer(reader: asyncio.StreamReader) -> None:
    """Read one whole answer; anything but a complete 200 ends the run."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise SystemExit(f"an answer that is none: {head!r}")
    if b"content-length: " in head:
        await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
        return
    while size := int(await reader.readuntil(b"\r\n"), 16):
        await reader.readexactly(size + 2)
    await reader.readuntil(b"\r\n")


async def client(port: int, numbers: range, streams: float, breaks: int) -> None:
    """One connection's requests, one after the other; every so many streams one is broken off."""
    connection = None
    for count, number in enumerate(numbers):
        reader, writer = connection = connection or await asyncio.open_connection("127.0.0.1", port)
        data, streamed = request(number, streams)
        writer.write(data)
        if streamed and count % breaks == 0:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
            connection = None
        else:
            await answer(reader)
    if connection is not None:
        connection[1].close()


async def load(port: int, first: int, last: int, streams: float, breaks: int) -> None:
    """Requests `first` to `last`, over all connections."""
    await asyncio.gather(
        *(client(port, range(first + lane, last, CONNECTIONS), streams, breaks) for lane in range(CONNECTIONS))
    )


def rss(pid: int) -> float:
    """Resident memory of a process, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def start(port: int, *command: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start a server and wait until it listens."""
    path = os.pathsep.join([str(HERE.parent), str(HERE)])
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.05)
    process.kill()
    raise SystemExit(f"{command[0]} does not listen")


def main() -> None:
    """Run, print, and fail when memory grew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=10_000, help="requests before memory is read for the first time")
    parser.add_argument("--streams", type=float, default=0.1, help="share of requests that are streamed")
    parser.add_argument("--breaks", type=int, default=10, help="of a connection's requests, which streams break off")
    options = parser.parse_args()
    up, own = free_port(), free_port()
    model = start(up, "ds2api_asgi", "demo", "--port", str(up), "--pace", "0")
    try:
        gateway = start(
            own, "uvicorn", "gateway:app", "--port", str(own), "--no-access-log", "--log-level", "warning",
            UPSTREAM=f"http://127.0.0.1:{up}", API_KEYS="sk-one,sk-two",
        )  # fmt: skip
        try:
            asyncio.run(load(own, 0, options.first, options.streams, options.breaks))
            before = rss(gateway.pid)
            print(f"after {options.first:>7,} requests: {before:.1f} MB", flush=True)
            asyncio.run(load(own, options.first, options.requests, options.streams, options.breaks))
            after = rss(gateway.pid)
            print(f"after {options.requests:>7,} requests: {after:.1f} MB ({after / before - 1:+.1%})")
        finally:
            gateway.terminate()
            gateway.wait()
    finally:
        model.terminate()
        model.wait()
    if after > before * (1 + GROWTH):
        raise SystemExit("memory grows")


if __name__ == "__main__":
    main()
