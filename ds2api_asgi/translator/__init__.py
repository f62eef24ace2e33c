"""Room 3: speak every protocol in front of an app that speaks one."""

from ..transforms.carry import CarryStore, MemoryCarryStore
from .component import Translator
from .convert import Converted, convert

__all__ = ["CarryStore", "Converted", "MemoryCarryStore", "Translator", "convert"]
