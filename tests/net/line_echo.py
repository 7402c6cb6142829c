"""A protocol of lines, as small as one can be: what net/ makes a client and a server of."""

LIMIT = 1000


class LineCore:
    """Lines in both directions. A server sends each line back; ``quit``, a long line or ``idle`` seconds end it."""

    def __init__(self, echo=True, idle=None):
        self.begun = self.closed = False
        self._echo, self._idle = echo, idle
        self._input, self._output, self._lines = b"", [], []
        self._due = None

    @property
    def unfinished(self):
        return bool(self._input)

    def receive(self, data, now):
        self._due = None if self._idle is None else now + self._idle
        *lines, self._input = (self._input + data).split(b"\n")
        for line in lines:
            self._receive_line(line)
        if len(self._input) > LIMIT:
            self._close(b"too long")
        elif not data:
            self._close()

    def transmit(self, now):
        return self._output.pop(0) if self._output else b""

    def next_event(self):
        return self._lines.pop(0) if self._lines else None

    def next_deadline(self):
        return self._due

    def handle_timeout(self, now):
        self._close(b"idle")

    def drain(self, now):
        self._close(b"bye")

    def send(self, line):
        self._output.append(line + b"\n")

    def _receive_line(self, line):
        self.begun = True
        if self.closed:
            return
        self._lines.append(line)
        if self._echo and line == b"quit":
            self._close(b"bye")
        elif self._echo:
            self.send(line)

    def _close(self, *last):
        if not self.closed:
            self._output += [line + b"\n" for line in last if self._echo]
            self.closed, self._due = True, None
