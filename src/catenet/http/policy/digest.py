"""Digest access authentication (RFC 7616): the client's answers, and a server's checks of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from catenet.http.policy.challenges import Challenge
from catenet.http.policy.parameters import split_list
from catenet.http.url import percent_encode

__all__ = ["DigestSession", "strongest"]

ALGORITHMS: dict[str, Callable[[bytes], str]] = {
    "SHA-512-256": lambda data: hashlib.new("sha512_256", data).hexdigest(),
    "SHA-256": lambda data: hashlib.sha256(data).hexdigest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).hexdigest(),
}
"""Hash functions, the strongest first."""


def strongest(challenges: list[Challenge]) -> Challenge | None:
    """Return the Digest challenge to answer: the first with the strongest algorithm that is known here."""
    known = [found for found in challenges if found.scheme == "digest" and "nonce" in found.parameters]
    ranks = list(ALGORITHMS)
    usable = [(ranks.index(name), at) for at, found in enumerate(known) if (name := _algorithm(found)[0]) in ranks]
    return known[min(usable)[1]] if usable else None


def _algorithm(challenge: Challenge) -> tuple[str, bool]:
    name = challenge.parameters.get("algorithm", "MD5").upper()
    return name.removesuffix("-SESS"), name.endswith("-SESS")


@dataclass(slots=True)
class DigestSession:
    """What is kept for one server (or proxy) between requests: its nonce, and how often that was used."""

    challenge: Challenge
    count: int = 0
    _a1: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def authorization(self, user: str, password: str, method: str, target: str, body: bytes | None, cnonce: str) -> str:
        """Return the value of Authorization; `cnonce` is drawn by the caller.

        `body` None: it is not known, then the body is not protected. Raises `ValueError` if the server asks for what
        is not known here, or asks for `auth-int` only and there is no body to protect.
        """
        said = self.challenge.parameters
        qop = self._qop(body)
        self.count += 1
        count = f"{self.count:08x}"
        name, session = _algorithm(self.challenge)
        response = digest_response(
            self._hashed(user, password, name, session, cnonce),
            name,
            method,
            target,
            said["nonce"],
            count,
            cnonce,
            qop,
            body,
        )
        fields = [
            *self._user(user, name),
            f'realm="{_escape(said.get("realm", ""))}"',
            f'nonce="{_escape(said["nonce"])}"',
        ]
        fields += [f'uri="{_escape(target)}"', f'response="{response}"']
        if "algorithm" in said:
            fields.append(f"algorithm={said['algorithm']}")
        if qop:
            fields += [f"qop={qop}", f"nc={count}", f'cnonce="{cnonce}"']
        elif session:
            fields.append(f'cnonce="{cnonce}"')
        if "opaque" in said:
            fields.append(f'opaque="{_escape(said["opaque"])}"')
        return "Digest " + ", ".join(fields)

    def take_next(self, authentication_info: str | None) -> None:
        """Take the `nextnonce` of Authentication-Info (section 3.5), if there is one."""
        for element in split_list(authentication_info or ""):
            name, _, value = element.partition("=")
            if name.strip().lower() == "nextnonce" and (nonce := value.strip().strip('"')):
                self.challenge = Challenge("digest", {**self.challenge.parameters, "nonce": nonce})
                self.count = 0
                self._a1.clear()

    def _hashed(self, user: str, password: str, name: str, session: bool, cnonce: str) -> str:
        hashed = ALGORITHMS[name]
        found = hashed(f"{user}:{self.challenge.realm}:{password}".encode())
        # With -sess A1 has the nonces, of the first request only: kept until the nonce changes (section 3.4.2).
        key = user, password, name
        if session and key not in self._a1:
            self._a1[key] = hashed(f"{found}:{self.challenge.parameters['nonce']}:{cnonce}".encode())
        return self._a1[key] if session else found

    def _qop(self, body: bytes | None) -> str:
        said = self.challenge.parameters.get("qop")
        if said is None:
            return ""
        offered = [part.strip().lower() for part in said.split(",")]
        if "auth" in offered:
            return "auth"
        if "auth-int" in offered and body is not None:
            return "auth-int"
        raise ValueError(f"the server asks for a quality of protection that cannot be given here: {said!r}")

    def _user(self, user: str, name: str) -> list[str]:
        if self.challenge.parameters.get("userhash", "").lower() == "true":
            return [f'username="{ALGORITHMS[name](f"{user}:{self.challenge.realm}".encode())}"', "userhash=true"]
        if user.isascii() and user.isprintable():
            return [f'username="{_escape(user)}"']
        return [f"username*=UTF-8''{percent_encode(user)}"]


def digest_response(
    a1: str, algorithm: str, method: str, target: str, nonce: str, count: str, cnonce: str, qop: str, body: bytes | None
) -> str:
    """Return the `response` for H(A1) in hexadecimal (section 3.4.1); a server compares it with what it received."""
    hashed = ALGORITHMS[algorithm]
    a2 = f"{method}:{target}"
    if qop == "auth-int":
        a2 += f":{hashed(body or b'')}"
    between = f"{nonce}:{count}:{cnonce}:{qop}" if qop else nonce
    return hashed(f"{a1}:{between}:{hashed(a2.encode())}".encode())


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
