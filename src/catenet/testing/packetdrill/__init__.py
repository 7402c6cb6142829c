"""A reader and runner for packetdrill's script language, on Catenet's own stack and in virtual time."""

from catenet.testing.packetdrill.parser import parse_script
from catenet.testing.packetdrill.syntax import Script, ScriptError

__all__ = ["Script", "ScriptError", "parse_script"]
