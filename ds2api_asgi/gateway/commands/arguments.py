"""What arguments of several commands mean, and what the system says of those that cannot be used."""

from __future__ import annotations

import argparse
import os

__all__ = ["port", "reason_of"]


def port(text: str) -> int:
    """A port to listen on; 0: any that is free."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError("a port is 0 to 65535")
    return number


def reason_of(error: OSError) -> str:
    """The system's own words; Python adds the address to them, and failed look-ups have negative numbers."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
