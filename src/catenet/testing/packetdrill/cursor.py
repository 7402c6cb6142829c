"""A place in a list of tokens, with the few moves that a hand-written parser needs."""

from __future__ import annotations

from catenet.testing.packetdrill.lexer import Token
from catenet.testing.packetdrill.syntax import ScriptError

__all__ = ["Cursor"]


class Cursor:
    """Reads tokens one after the other; `token` is the one that comes next."""

    __slots__ = ("_tokens", "_where", "token")

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._where = 0
        self.token = tokens[0]

    def peek(self, ahead: int = 1) -> Token:
        """A token further on; the last one again beyond the end."""
        return self._tokens[min(self._where + ahead, len(self._tokens) - 1)]

    def next(self) -> Token:
        """The next token, taken."""
        token = self.token
        if token.kind != "end":
            self._where += 1
            self.token = self._tokens[self._where]
        return token

    def at(self, kind: str, text: str | None = None) -> bool:
        """Whether the next token is of a kind (and spelled so)."""
        return self.token.kind == kind and (text is None or self.token.text == text)

    def take(self, kind: str, text: str | None = None) -> Token | None:
        """The next token if it is of this kind (and spelled so), else None."""
        return self.next() if self.at(kind, text) else None

    def word(self, text: str) -> bool:
        """Take a given word if it comes next."""
        return self.take("word", text) is not None

    def expect(self, kind: str, text: str | None = None, what: str = "") -> Token:
        """The next token, which must be of this kind.

        Raises:
            ScriptError: it is not.
        """
        if not self.at(kind, text):
            raise self.error(f"expected {what or repr(text or kind)}")
        return self.next()

    def integer(self, what: str, low: int = 0, high: int = 0xFFFFFFFF) -> int:
        """A number within bounds.

        Raises:
            ScriptError: none there, or out of bounds.
        """
        token = self.token
        if token.kind not in ("int", "hex"):
            raise self.error(f"expected {what}, a number")
        value = int(token.text, 16 if token.kind == "hex" else 10)
        if not low <= value <= high:
            raise self.error(f"{what} {value} is not between {low} and {high}")
        self.next()
        return value

    def error(self, message: str) -> ScriptError:
        """Make the error that says what is wrong at the next token."""
        return ScriptError(self.token.line, f"{message}, got {self.token.text.splitlines()[0][:40]!r}")
