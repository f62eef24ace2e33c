"""What `TextTools` costs on texts made to hurt: doubling the text has to double the cost, whatever it says.

    python benchmarks/text_tools.py [characters]

Each row is one kind of text, streamed in pieces of 16 characters: half of the characters (1,048,576 by default), then
all of them. "work" is how many characters were looked at per character of text, which does not depend on the machine.
"""

from __future__ import annotations

import sys
import time

from ds2api_asgi.transforms.text_tools.dialects import DIALECTS
from ds2api_asgi.transforms.text_tools.offer import Offer, Tally
from ds2api_asgi.transforms.text_tools.sieve import Sieve
from ds2api_asgi.universal.request import FunctionTool

SIZE = 1024 * 1024
PIECE = 16
HEAD = '<tool_calls><invoke name="f"><parameter name="a">'
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}, "n": {"type": "array"}}}
OFFER = Offer(tools={"f": FunctionTool(name="f", schema=SCHEMA)})

TEXTS = {
    "prose": ("", "The quick brown fox jumps over the lazy dog.\n"),
    "code in fences": ("", "```python\nif a < b and [c] != {d}:\n    pass\n```\ntext\n"),
    "nested fences": ("", "````\n```json\n~~~\n`"),
    "unclosed wrappers": ("", "<tool_calls>"),
    "unclosed calls": ("", HEAD),
    "unclosed parameter": (HEAD, "some text of a parameter "),
    "< storm": ("", "<"),
    "<| storm": ("", "<|"),
    "< storm in a parameter": (HEAD, "<"),
    "nearly tags": ("", "<tool_call <|DSML|too "),
    "CDATA": (HEAD + "<![CDATA[", "a line of a file\n"),
    "] storm in CDATA": (HEAD + "<![CDATA[", "]"),
    "]]> storm in CDATA": (HEAD + "<![CDATA[", "]]>"),
    "CDATA in CDATA": (HEAD + "<![CDATA[", "><![CDATA["),
    "entities in a parameter": (HEAD, "&amp;&#x41;&"),
    "whitespace": ("", " \n"),
    "whitespace in a block": ("<tool_calls>", " \n"),
    "[TOOL_CALLS] storm": ("", "[TOOL_CALLS]["),
    "unclosed JSON": ('<tool_call>{"name":"f","arguments":{"a":"', 'b\\"{[ '),
    "brackets": ('<tool_call>{"name":"f","arguments":{"a":[', "[],"),
    "closed calls": ("", HEAD + "b</parameter></invoke></tool_calls>\n"),
    "items in a call": (
        '<tool_calls><invoke name="f"><parameter name="n">',
        "<item>x<br>y</item>",
        "</parameter></invoke></tool_calls>",
    ),
    "broken JSON in a call": (
        '<tool_calls><invoke name="f"><parameter name="n">[',
        '{a: "\\d", },',
        "]</parameter></invoke></tool_calls>",
    ),
}


def text_of(kind: str, size: int) -> str:
    head, body, *tail = TEXTS[kind]
    return head + body * (size // len(body)) + "".join(tail)


def cost(text: str) -> tuple[float, float]:
    """Seconds of CPU, and work per character."""
    sieve = Sieve(DIALECTS, Tally(OFFER, 0), eager=False, bound=2 * SIZE)
    begin = time.process_time()
    for at in range(0, len(text), PIECE):
        sieve.feed(text[at : at + PIECE])
    sieve.close()
    return time.process_time() - begin, sieve.work / len(text)


def main() -> None:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else SIZE
    print(f"{'text':<26}{f'{size // 2:,}':>12}{f'{size:,}':>12}{'ratio':>8}{'work':>8}")
    for kind in TEXTS:
        half, _ = cost(text_of(kind, size // 2))
        whole, work = cost(text_of(kind, size))
        print(f"{kind:<26}{half:>10.3f} s{whole:>10.3f} s{whole / half:>8.2f}{work:>8.1f}")


if __name__ == "__main__":
    main()
