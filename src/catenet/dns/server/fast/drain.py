"""The socket of a name server, drained in batches: what has an answer is answered on the spot.

asyncio's datagram transports read one datagram a turn and cost five times as much.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

from catenet.dns.server.fast.answers import Answers

__all__ = ["LONGEST_QUERY", "Address", "Look", "drain"]

Address = tuple[str, int] | tuple[str, int, int, int]
Slow = Callable[[bytes, Address], None]
Look = Callable[[bytes, Address, bytes], bytes | None]

LONGEST_QUERY: Final = 4096
"""Bytes of a datagram that are read; what fills them is taken for cut, and dropped."""


def drain(
    sock: socket.socket,
    answers: Answers | None,
    lanes: dict[str, Answers],
    look: Look | None,
    slow: Slow,
    codes: list[int],
    limit: int,
) -> int:
    """Answer the datagrams that wait, at most `limit`; return how many those were.

    Args:
        sock: a socket that does not block, on one address.
        answers: for all clients; None: for those of `lanes`.
        lanes: answers by address of the client.
        look: is shown query, client and reply, and says what is sent: the reply, another, or None for nothing.
        slow: takes what has no answer here.
        codes: counts the second byte of the replies' flags.
        limit: datagrams.
    """
    receive, send = sock.recvfrom, sock.sendto
    memo = None if answers is None else answers.memo
    lane = answers
    for done in range(limit):
        try:
            query, client = receive(LONGEST_QUERY)
        except (BlockingIOError, InterruptedError):
            return done
        except OSError:
            continue  # ICMP about an answer of ours
        if answers is None or memo is None:
            lane = lanes.get(client[0])
            if lane is None:
                slow(query, client)
                continue
            reply = lane.memo.get(query[2:])
        else:
            reply = memo.get(query[2:])
        if reply is None and lane is not None:
            reply = lane.look_up(query)
        if reply is None:
            slow(query, client)
            continue
        if look is not None:
            shown = look(query, client, reply)
            if shown is None:
                continue
            reply = shown
        codes[reply[1]] += 1
        try:
            send(query[:2] + reply, client)
        except OSError:
            pass  # the send buffer is full, or there is no way back: a datagram is lost, as datagrams are
    return limit
