"""OSI layers 2 to 4 as values: from bytes to values and back. Pure functions, no state.

Every format has `parse` (bytes to a value, raises `Malformed`, nothing else) and `build` (a value to bytes); a value
that `build` accepts comes back from `parse` equal.
"""

from catenet.wire.errors import Malformed

__all__ = ["Malformed"]
