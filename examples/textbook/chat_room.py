"""The chat room behind chat_select.py, chat_poll.py and chat_epoll.py: what to send to whom, no waiting.

Each server waits in its own way and tells the room which sockets can be read or written; the room never blocks.
"""

import socket

LINE_LIMIT = 1000
"""Bytes without a newline after which a member is shown the door."""

BACKLOG_LIMIT = 1 << 20
"""Unsent bytes after which a member that does not read is shown the door."""


class Room:
    """The members of a chat, by socket."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        self.listener.setblocking(False)
        self.received: dict[socket.socket, bytes] = {}
        self.unsent: dict[socket.socket, bytes] = {}
        print(f"listening on port {self.listener.getsockname()[1]}", flush=True)

    def accept(self) -> socket.socket | None:
        """Let one newcomer in; None when nobody waits."""
        try:
            member, _ = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        member.setblocking(False)
        self.received[member] = self.unsent[member] = b""
        return member

    def read(self, member: socket.socket) -> bool:
        """Read once from a member and pass complete lines on; False when there was nothing to read."""
        try:
            chunk = member.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            chunk = b""
        *lines, rest = (self.received[member] + chunk).split(b"\n")
        self.received[member] = rest
        for line in lines:
            self.say(member, line + b"\n")
        if not chunk or len(rest) > LINE_LIMIT:
            self.leave(member)
        return bool(chunk)

    def say(self, speaker: socket.socket, line: bytes) -> None:
        """Queue a line for everybody but the speaker."""
        for member in list(self.unsent):
            if member is not speaker:
                self.unsent[member] += line
                if len(self.unsent[member]) > BACKLOG_LIMIT:
                    self.leave(member)

    def write(self, member: socket.socket) -> None:
        """Send what a member's socket takes."""
        try:
            while unsent := self.unsent.get(member, b""):
                self.unsent[member] = unsent[member.send(unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.leave(member)

    def leave(self, member: socket.socket) -> None:
        """Forget a member."""
        self.received.pop(member, None)
        if self.unsent.pop(member, None) is not None:
            member.close()
