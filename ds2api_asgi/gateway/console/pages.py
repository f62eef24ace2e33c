"""The console's two pages: what the server writes into them is escaped, everything else draws the script."""

from __future__ import annotations

from functools import cache
from html import escape
from importlib import resources
from string import Template

__all__ = ["console_page", "login_page"]


def console_page(csrf: str) -> bytes:
    """The page itself.

    Args:
        csrf: What the script shows with every change that it asks for, and the form for logging out.
    """
    return _template("page.html").substitute(csrf=escape(csrf)).encode()


def login_page(problem: str = "", *, csrf: str = "") -> bytes:
    """The page without a session.

    Args:
        problem: What was wrong with the last password (``"That is not the password."``).
        csrf: What the form gives back, if anything.
    """
    return _template("login.html").substitute(problem=escape(problem), csrf=escape(csrf)).encode()


@cache
def _template(name: str) -> Template:
    return Template(resources.files(__package__).joinpath(name).read_text("utf-8"))
