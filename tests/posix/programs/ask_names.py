"""`ask_names.py CALL ARGUMENT...` with JSON arguments: calls a function of `socket` and prints what came, as JSON."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any


def plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return int(value) if isinstance(value, int) else value


arguments = [json.loads(text) for text in sys.argv[2:]]
if sys.argv[1] == "getnameinfo":
    arguments[0] = tuple(arguments[0])
try:
    print(json.dumps(plain(getattr(socket, sys.argv[1])(*arguments))))
except OSError as error:
    print(json.dumps([type(error).__name__, *error.args]))
