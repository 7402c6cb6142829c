"""Answers as wire bytes by question, in bounded memory; id, case of the name, RD, CD and TTLs are patched.

Two levels. The memo has whole replies by whole queries (without their ids), of questions that are asked again and again
in the same words. Behind it an `Entry` by folded question has what follows the question in a reply, so that a name in
any case, of any client, finds it.
"""

from __future__ import annotations

from typing import Final

from catenet.dns.server.fast.form import Form, Forms

__all__ = ["Answers", "Entry", "make_entry"]

_FOREVER: Final = 1 << 62
_HEADS: Final = 16
_MOST_HEADS: Final = 1024
_LEAST_QUERY: Final = 17
"""Header, the root's name, type and class."""
_LONGEST_QUERY: Final = 300
"""Header, the longest name, type, class and OPT record; what is longer has options."""
_MEMO_OVERHEAD: Final = 180
_ENTRY_OVERHEAD: Final = 330
"""Bytes of objects and table around the bytes of an entry, measured."""
_MOST_AGE: Final = 1 << 31

_AD: Final = 0x20
_RA: Final = 0x80

_heads: dict[bytes, list[bytes]] = {}


class Entry:
    """What follows the question in an answer.

    Attributes:
        heads: the header behind the id, by form.
        tail: records, without OPT.
        ttls: where in the tail TTLs are, to be aged; empty: they stay as they are.
        born: second in which it was made, and of which the TTLs were.
        aged: second of which those in `tail` are.
        expires: second from which it is none.
    """

    __slots__ = ("aged", "born", "expires", "heads", "tail", "ttls")

    def __init__(self, heads: list[bytes], tail: bytes, ttls: list[int], born: int, expires: int) -> None:
        self.heads = heads
        self.tail = tail
        self.ttls = ttls
        self.born = born
        self.aged = born
        self.expires = expires

    def age(self, now: int) -> None:
        """Let the TTLs be those of `now`."""
        gone, tail, ttls = now - self.aged, self.tail, self.ttls
        if len(ttls) == 1:
            at = ttls[0]
            ttl = int.from_bytes(tail[at : at + 4], "big") - gone
            self.tail = tail[:at] + (ttl if ttl > 0 else 0).to_bytes(4, "big") + tail[at + 4 :]
        else:
            whole = bytearray(tail)
            for at in ttls:
                ttl = int.from_bytes(tail[at : at + 4], "big") - gone
                whole[at : at + 4] = (ttl if ttl > 0 else 0).to_bytes(4, "big")
            self.tail = bytes(whole)
        self.aged = now


def _make_heads(high: int, low: int, answers: int, authorities: int, additionals: int) -> list[bytes]:
    """Headers behind the id for each form; entries of one kind share them."""
    counts = answers.to_bytes(2, "big") + authorities.to_bytes(2, "big")
    key = bytes((high, low)) + counts + additionals.to_bytes(2, "big")
    made = _heads.get(key)
    if made is not None:
        return made
    made = []
    for index in range(_HEADS):
        first = high & ~1 | 0x80 | index & 1
        second = low & ~0x30 | (0x10 if index & 2 else 0) | (low & _AD if index & 4 else 0)
        more = additionals + (1 if index & 8 else 0)
        made.append(bytes((first, second)) + b"\0\1" + counts + more.to_bytes(2, "big"))
    if len(_heads) < _MOST_HEADS:
        _heads[key] = made
    return made


def make_entry(reply: bytes, now: int, lasting: bool, forwarded: bool = False, most: int = _MOST_AGE) -> Entry | None:
    """The entry of a whole reply (question first); None for one that does not fit the form of one.

    `lasting`: an authority's, whose TTLs do not age. Otherwise it lasts as long as its shortest TTL, at most `most`
    seconds. `forwarded`: a recursive server has said it, so that we are no authority (AA) and have not validated (AD).
    """
    size = len(reply)
    at = 12
    while at < size and reply[at]:
        at += 1 + reply[at]
    end = at + 5
    if reply[4:6] != b"\0\1" or end > size:
        return None
    answers, authorities = reply[6] << 8 | reply[7], reply[8] << 8 | reply[9]
    additionals = reply[10] << 8 | reply[11]
    ttls: list[int] = []
    lifetime, stop, at = most, size, end
    for number in range(answers + authorities + additionals):
        start = at
        while at < size and 0 < reply[at] < 0xC0:
            at += 1 + reply[at]
        at += 2 if at < size and reply[at] else 1
        if at + 10 > size:
            return None
        if reply[at] == 0 and reply[at + 1] == 41:
            if not additionals or number != answers + authorities + additionals - 1:
                return None
            stop, additionals = start, additionals - 1
            break
        ttl = reply[at + 4] << 24 | reply[at + 5] << 16 | reply[at + 6] << 8 | reply[at + 7]
        ttls.append(at + 4 - end)
        lifetime = min(lifetime, ttl)
        at += 10 + (reply[at + 8] << 8 | reply[at + 9])
        if at > size:
            return None
    if stop == size and at != size:
        return None
    high, low = reply[2] & 0x86, reply[3]
    if forwarded:
        high, low = high & 0x82, low & ~_AD | _RA
    heads = _make_heads(high, low, answers, authorities, additionals)
    if lasting:
        return Entry(heads, reply[end:stop], [], now, _FOREVER)
    return Entry(heads, reply[end:stop], ttls, now, now + lifetime)


class Answers:
    """Answers for clients that may all see the same.

    Entries are kept in two generations: when the young ones take half of `room` bytes, the old ones go. The memo takes
    at most `memo_room` bytes, and is emptied then.

    Attributes:
        memo: replies by queries, both without their ids.
        now: this second.
    """

    __slots__ = (
        "_ageing",
        "_forms",
        "_memo_left",
        "_memo_room",
        "_old",
        "_room",
        "_young",
        "_young_left",
        "memo",
        "now",
    )  # fmt: skip

    def __init__(self, forms: Forms, room: int, memo_room: int) -> None:
        self._forms = forms
        self._room = room
        self._young: dict[bytes, Entry] = {}
        self._old: dict[bytes, Entry] = {}
        self._young_left = room // 2
        self._memo_room = memo_room
        self._memo_left = memo_room
        self._ageing: list[bytes] = []
        self.memo: dict[bytes, bytes] = {}
        self.now = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def tick(self, now: int) -> None:
        """It is `now` (whole seconds): TTLs have aged, so replies with ageing ones are made again."""
        if now == self.now:
            return
        self.now = now
        memo = self.memo
        if len(self._ageing) * 2 > len(memo):
            self.forget_memo()
            return
        for rest in self._ageing:
            found = memo.pop(rest, None)
            if found is not None:
                self._memo_left += len(rest) + len(found) + _MEMO_OVERHEAD
        self._ageing.clear()

    def forget_memo(self) -> None:
        """Empty the memo."""
        self.memo.clear()
        self._ageing.clear()
        self._memo_left = self._memo_room

    def clear(self) -> None:
        """Forget everything: what was said is not so any more."""
        self.forget_memo()
        self._young = {}
        self._old = {}
        self._young_left = self._room // 2

    # Finding.

    def look_up(self, query: bytes) -> bytes | None:
        """The reply to a datagram, without its id; None: it needs more than this. May remember it in the memo."""
        form = self.form_of(query, self._forms)
        if form is None:
            return None
        question = query[12 : len(query) - form.cut]
        name = question[:-4]
        folded = name.lower()
        entry = self.find(form.prefix + folded + question[-4:])
        if entry is None:
            return None
        ages = len(entry.ttls) > 0
        again = not ages or entry.aged == self.now
        reply = self.assemble(entry, form, question)
        if again and folded == name:  # what is asked for once a second, or in mixed case, hardly comes twice
            self._remember(query[2:], reply, ages)
        return reply

    def reply(self, query: bytes, forms: Forms) -> bytes | None:
        """The reply to a query over the transport of `forms`, without its id; None: it needs more than this."""
        form = self.form_of(query, forms)
        if form is None:
            return None
        question = query[12 : len(query) - form.cut]
        entry = self.find(form.prefix + question[:-4].lower() + question[-4:])
        return None if entry is None else self.assemble(entry, form, question)

    def form_of(self, query: bytes, forms: Forms) -> Form | None:
        """The form of a query; None: it needs more than this."""
        size = len(query)
        if size < _LEAST_QUERY or size > _LONGEST_QUERY:
            return None
        signature = query[2:12]
        if signature[9]:
            signature += query[size - 11 :]
        form = forms.known.get(signature)
        return forms.read(signature) if form is None else form

    def _remember(self, rest: bytes, reply: bytes, ages: bool) -> None:
        size = len(rest) + len(reply) + _MEMO_OVERHEAD
        self._memo_left -= size
        if self._memo_left < 0:
            self.forget_memo()
            self._memo_left -= size
        self.memo[rest] = reply
        if ages:
            self._ageing.append(rest)

    def find(self, key: bytes) -> Entry | None:
        """The entry of a key: prefix of a form, folded name, type and class."""
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.pop(key, None)
            if entry is None:
                return None
            self._put(key, entry)
        if entry.expires <= self.now:
            del self._young[key]
            return None
        return entry

    def assemble(self, entry: Entry, form: Form, question: bytes) -> bytes:
        """The reply without its id; cut to the question if it is more than the client takes (RFC 2181 9)."""
        if entry.aged != self.now and entry.ttls:
            entry.age(self.now)
        head, tail, opt = entry.heads[form.index], entry.tail, form.opt
        if 12 + len(question) + len(tail) + len(opt) > form.limit:
            cut = bytes((head[0] | 2, head[1])) + (b"\0\1\0\0\0\0\0\1" if opt else b"\0\1\0\0\0\0\0\0")
            return cut + question + opt
        return head + question + tail + opt

    # Keeping.

    def insert(self, key: bytes, entry: Entry) -> None:
        """Keep an entry."""
        self._old.pop(key, None)
        self._put(key, entry)

    def _put(self, key: bytes, entry: Entry) -> None:
        self._young_left -= len(key) + len(entry.tail) + 8 * len(entry.ttls) + _ENTRY_OVERHEAD
        if self._young_left < 0:
            self._old = self._young
            self._young = {}
            self._young_left = self._room // 2 - len(entry.tail) - _ENTRY_OVERHEAD
        self._young[key] = entry
