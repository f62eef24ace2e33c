"""``python -m ds2api_asgi`` is the command ``ds2api``."""

from __future__ import annotations

import sys

from .gateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
