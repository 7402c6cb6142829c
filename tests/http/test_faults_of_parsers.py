"""Faults of other parsers that have been published, tried on ours; `docs/http.md` has the whole table."""

import ast
import re
from pathlib import Path

import pytest
from h2wire import FIELDS, Raw

from catenet.http import events as ev
from catenet.http.errors import ErrorCode
from catenet.http.h1.connection import H1Connection
from catenet.http.message import RequestHead, ResponseHead

ROOT = Path(__file__).parents[2]
POST = b"POST / HTTP/1.1\r\nHost: h\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"

REFUSED = {
    "CVE-2005-2088": POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CVE-2019-16785": POST + b"Content-Length: 100\r\nX: y\nContent-Length: 0\r\n\r\n",
    "CVE-2019-16786": POST + b"Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "CVE-2019-16789": POST + b"Content-Length: 10\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "CVE-2019-16792": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "CVE-2021-22959": POST + b"Content-Length : 5\r\n\r\nhello",
    "CVE-2022-24761 sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "CVE-2022-24761 prefix": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "CVE-2022-24761 chunk": CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "CVE-2023-30589": POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n0\r\n\r\n",
    "CVE-2023-37276": POST + b"X: \rxTransfer-Encoding: chunked\r\n\r\n1\r\nA\r\n0\r\n\r\n",
    "CVE-2023-38697": CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "CVE-2023-47627": POST + b"Content-Length: 5_0\r\n\r\nhello",
    "CVE-2024-1135": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "CVE-2024-6827": POST + b"Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\nhello",
    "CVE-2024-27982": b"POST / HTTP/1.1\r\nHost: h\r\n Content-Length: 5\r\n\r\nhello",
    "CVE-2024-35161": CHUNKED + b"0\r\nno field\r\n\r\n",
    "CVE-2025-22871": CHUNKED + b"5;x\nhello\r\n0\r\n\r\n",
    "CVE-2025-43859": CHUNKED + b"5\r\nhelloXX0\r\n\r\n",
    "CVE-2025-53643": CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n",
    "CVE-2025-55315": CHUNKED + b"5;\n\r\nhello\r\n0\r\n\r\n",
    "CVE-2025-58056": CHUNKED + b"5;a=b\nc\r\nhello\r\n0\r\n\r\n",
    "CVE-2025-69224": POST + "Transfer-Encoding: chun\u212aed\r\n\r\n0\r\n\r\n".encode(),
    "CVE-2025-69225": POST + "Content-Length: \u0665\r\n\r\nhello".encode(),
    "CVE-2026-71554": b"GET / HTTP/1.1\r\nHost: h\r\nHost: other\r\n\r\n",
    "CVE-2026-134342": CHUNKED + b"0\r\n\n",
    "CVE-2026-134820 blanks": POST + b"Content-Length: 5 5\r\n\r\nhello",
    "CVE-2026-134820 sign": POST + b"Content-Length: -0\r\n\r\n",
    "CVE-2026-134820 end": CHUNKED + b"5\r\nhello\rX0\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("step", [1, 10_000])
def test_refused(name, step):
    """The message is answered 400, and nothing of what follows it is a request (CVE-2024-49768)."""
    machine, events = H1Connection(False), []
    data = REFUSED[name] + HIDDEN
    for start in range(0, len(data), step):
        events += machine.receive(data[start : start + step], 0.0)
    assert machine.failed is not None and events[-1][0] == ev.CLOSED
    assert not [value for kind, _, value, _ in events if kind == ev.HEAD and value.path == b"/hidden"]
    assert not [end for kind, _, _, end in events if kind in (ev.HEAD, ev.DATA, ev.TRAILERS) and end]
    assert machine.transmit().startswith(b"HTTP/1.1 400 ") and not machine.pending


def test_upgrade_with_a_body():
    """CVE-2026-69243: the body is the request's, whatever it looks like, and what follows waits."""
    machine = H1Connection(False)
    fields = b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: %d\r\n\r\n" % len(HIDDEN)
    events = machine.receive(POST.replace(b"POST", b"GET") + fields + HIDDEN + HIDDEN, 0.0)
    assert [kind for kind, *_ in events] == [ev.HEAD, ev.DATA]
    assert events[1][2] == HIDDEN and events[1][3]
    machine.send_head(events[0][1], ResponseHead(101, ((b"upgrade", b"websocket"),)))
    assert machine.receive(b"", 0.0) == [(ev.DATA, events[0][1], HIDDEN, False)]


H2_REFUSED = {
    "CVE-2026-71554": (*FIELDS[:3], (b"host", b"h"), (b"host", b"other")),
    "CVE-2025-57804 name": (*FIELDS, (b"x\r\ny", b"z")),
    "CVE-2025-57804 value": (*FIELDS, (b"x", b"y\r\n\r\nGET /hidden HTTP/1.1\r\nHost: h")),
    "CVE-2025-57804 path": ((*FIELDS[0],), FIELDS[1], (b":path", b"/ HTTP/1.1\r\nX: y"), *FIELDS[3:]),
    "CVE-2021-33193 method": ((b":method", b"GET / HTTP/1.1"), *FIELDS[1:]),
    "CVE-2021-21295 shorter": (*FIELDS, (b"content-length", b"4")),
    "CVE-2021-21409 alone": (*FIELDS, (b"content-length", b"4")),
    "CVE-2021-36740 longer": (*FIELDS, (b"content-length", b"6")),
    "class coding": (*FIELDS, (b"transfer-encoding", b"chunked")),
}


@pytest.mark.parametrize("name", H2_REFUSED)
def test_refused_over_http_2(name):
    """What would become two requests when it is written as HTTP/1.1."""
    raw = Raw()
    raw.headers(1, H2_REFUSED[name], end=not name.endswith(("shorter", "longer")))
    if raw.resets() == {}:
        raw.frame(0, 1, 1, b"hello")
    assert raw.resets() == {1: ErrorCode.PROTOCOL_ERROR}
    assert not [end for kind, _, _, end in raw.events if kind in (ev.HEAD, ev.DATA) and end]


ANSWERS = {
    "CVE-2023-30589": b"HTTP/1.1 200 OK\r\nX: y\rContent-Length: 5\r\n\r\nhello",
    "CVE-2025-43859": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    "CVE-2025-22871": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "CVE-2022-24761": b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    "CVE-2019-16792": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n\r\nhello",
    "CVE-2019-18277": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: \x0bchunked\r\n\r\nhello",
}


@pytest.mark.parametrize("name", ANSWERS)
def test_refused_by_clients(name):
    """The siblings at a client: an answer that two readers would end in two places."""
    machine = H1Connection(True)
    machine.send_request(RequestHead(b"GET", b"/", (), b"h"), b"")
    events = machine.receive(ANSWERS[name], 0.0)
    assert [kind for kind, *_ in events[-2:]] == [ev.RESET, ev.CLOSED]


def test_trailers_are_bounded():
    """Fields behind the body, without end."""
    machine = H1Connection(False)
    machine.receive(CHUNKED + b"0\r\n", 0.0)
    for number in range(100_000):
        machine.receive(b"x-%d: y\r\n" % number, 0.0)
        if machine.failed is not None:
            break
    assert machine.failed is not None and number < 10_000


ROW = re.compile(r"\| ((?:CVE|GHSA|class)[^|]*) \| ([^|]+) \| `([\w/.]+)::(\w+)` \|")


def test_every_fault_of_the_table_has_its_test():
    page = (ROOT / "docs" / "http.md").read_text()
    section = page.partition("## Public faults of parsers")[2].partition("\n## ")[0]
    rows = ROW.findall(section)
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(rows) == len(lines) - 1 > 30  # all but the heading are understood
    for _, _, file, test in rows:
        tree = ast.parse((ROOT / "tests" / file).read_text())
        assert test in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (file, test)
    told = {name for ids, *_ in rows for name in re.findall(r"CVE-\d+-\d+", ids)}
    tried = {name.split()[0] for name in (*REFUSED, *H2_REFUSED, *ANSWERS)} - {"class"}
    assert tried <= told
