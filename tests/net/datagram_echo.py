"""A protocol on datagrams, as small as one can be: what net/ makes a client and a server of."""

from collections import deque

from catenet.net import PlainDatagramCore

AGAIN = 0.25


class EchoCore(PlainDatagramCore):
    """Sends each datagram back to where it came from, three times if it says so; events are names of peers."""

    def __init__(self):
        self._out, self._names = deque(), deque()

    def receive(self, data, peer, now):
        self._out += [(data, peer)] * (3 if data.startswith(b"three") else 1)
        self._names.append(peer.name)

    def transmit(self, now):
        return [self._out.popleft()] if self._out else []

    def next_event(self):
        return self._names.popleft() if self._names else None


class AskCore(PlainDatagramCore):
    """Asks one thing at a time, again and again until the answer comes, which is the event."""

    def __init__(self, peer):
        self._peer, self._question, self._due = peer, None, None
        self._out, self._answers, self.errors = [], [], []

    @property
    def idle(self):
        return self._question is None

    def ask(self, question, now):
        self._question = question
        self.handle_timeout(now)

    def receive(self, data, peer, now):
        if data == self._question and peer == self._peer:
            self._question = self._due = None
            self._answers.append(data)

    def transmit(self, now):
        out, self._out = self._out, []
        return out

    def next_event(self):
        return self._answers.pop(0) if self._answers else None

    def next_deadline(self):
        return self._due

    def handle_timeout(self, now):
        self._out.append((self._question, self._peer))
        self._due = now + AGAIN

    def handle_error(self, error, now):
        self.errors.append(type(error))
