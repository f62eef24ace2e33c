"""Room 3: speak every protocol in front of an app that speaks one."""

from .component import Translator
from .convert import Converted, convert

__all__ = ["Converted", "Translator", "convert"]
