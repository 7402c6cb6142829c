"""The table of TCP's states: no code changes a state without it, connections walk each of its arrows, docs show it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stack.tcp.tcpnet import ADDRESSES, Net

from catenet.stack.endpoint import Name
from catenet.stack.tcp.control import states
from catenet.stack.tcp.control.connection import Connection
from catenet.stack.tcp.control.time_wait import TimeWait
from catenet.stack.tcp.opening.listener import HalfOpen
from catenet.wire import ip, tcp

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "src" / "catenet" / "stack" / "tcp"
BY_ONE_SEGMENT = {("FIN-WAIT-1", "TIME-WAIT"), ("SYN-RECEIVED", "CLOSE-WAIT")}
"""A FIN that also acknowledges our FIN (RFC 9293, note to figure 5) or our SYN takes a connection past two arrows."""


def arrows() -> set[tuple[str, str]]:
    return {
        (states.NAMES[state], states.NAMES[following])
        for state, events in states.TRANSITIONS.items()
        for following in events.values()
    }


def assignments(tree: ast.AST) -> Iterator[tuple[ast.Attribute, ast.expr | None]]:
    """Assignments to an attribute `state`, of any object, with what is assigned (None: by `+=` and the like)."""
    for node in ast.walk(tree):
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.AugAssign):
            targets = [node.target]
        for target in targets:
            for each in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(each, ast.Attribute) and each.attr == "state":
                    yield each, node.value if isinstance(node, ast.Assign) else None


def test_only_the_table_changes_a_state():
    by_hand = []
    found = 0
    for path in sorted(SOURCE.rglob("*.py")):
        if "congestion" in path.parts or "parking" in path.parts:
            continue  # BBR's own states; parking restores the one that it saved
        for target, value in assignments(ast.parse(path.read_text())):
            found += 1
            text = ast.unparse(value) if value is not None else ""
            new = ast.unparse(target) == "self.state" and text in ("states.CLOSED", "state")
            if not new and not text.startswith("states.after(") and text != "following":
                by_hand.append(f"{path.name}:{target.lineno}: {text}")
            if text == "following":
                assert "states.TRANSITIONS[" in path.read_text()
    assert found > 12 and not by_hand


class Watched(Net):
    """A net that notes each change of state of each connection, and of its listeners."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.walked: set[tuple[str, str]] = set()
        self._known: list[dict[bytes, str]] = [{}, {}]
        self._listening: dict[int, str] = {}

    def pump(self) -> None:
        self.look()
        super().pump()
        self.look()

    def step(self) -> bool:
        going = super().step()
        self.look()
        return going

    def look(self) -> None:
        for stack, known in zip(self.hosts, self._known, strict=True):
            now = {}
            for key, each in stack.tcp.connections.items():
                if isinstance(each, Connection | TimeWait):
                    now[key] = states.NAMES[each.state]
                elif isinstance(each, HalfOpen):
                    now[key] = "SYN-RECEIVED"
            for key in known.keys() | now.keys():
                state = now.get(key, "CLOSED")
                # A connection begins with `connect`, or with a SYN for a listener.
                before = known.get(key, "LISTEN" if state != "SYN-SENT" else "CLOSED")
                if state != before:
                    self.walked.add((before, state))
            known.clear()
            known.update(now)

    def deliver(self, host: int, packets: list[bytes]) -> None:
        for packet in packets:
            self.hosts[host].receive(packet, self.now)
            self.look()


@pytest.fixture(params=[4, 6])
def net(request) -> Watched:
    return Watched(request.param)


def open_and_close(net: Watched) -> None:
    client, server, _ = net.pair()
    client.close()
    net.run(0.1)
    server.close()
    net.run(70)


def listen_and_close(net: Watched) -> None:
    listener = net.a.tcp_endpoint(net.version)
    before = listener.state
    listener.bind(net.name(0, 99))
    listener.listen(1)
    during = listener.state
    listener.close()
    net.walked |= {(before, during), (during, listener.state)}


def close_at_once(net: Watched) -> None:
    client, server, _ = net.pair()
    client.close()
    server.close()
    net.run(70)


def open_at_once(net: Watched, *, close: bool) -> None:
    ends = [host.tcp_endpoint(net.version) for host in net.hosts]
    for number, end in enumerate(ends):
        end.bind(Name(ADDRESSES[net.version][number], 7000))
    ends[0].connect(net.name(1, 7000))
    ends[1].connect(net.name(0, 7000))
    assert net.run(1, lambda: ends[0].state == "SYN-RECEIVED")
    if close:
        ends[0].shutdown(False, True)
    net.run(1)


def open_nothing(net: Watched) -> None:
    net.a.tcp_endpoint(net.version).connect(net.name(1, 81))
    net.run(1)


def flags_of(packet: bytes) -> int:
    parsed = ip.parse(packet)
    return tcp.parse(parsed.payload, parsed.source, parsed.destination).flags


def lose(*flags: int):
    """A filter that loses segments with exactly these flags."""
    return lambda packet, now: [] if flags_of(packet) in flags else [(0.01, packet)]


def never_complete_the_handshake(net: Watched) -> None:
    net.listener(83)
    net.a.tcp_endpoint(net.version).connect(net.name(1, 83))
    net.filters[0] = lose(tcp.ACK, tcp.RST)
    net.run(200)


def abort(net: Watched, *, state: str) -> None:
    """The connection of host a ends by an abort in `state`."""
    client, server, _ = net.pair()
    if state in ("CLOSE-WAIT", "LAST-ACK"):
        server.shutdown(False, True)
        net.run(0.1)
    if state != "ESTABLISHED" and state != "CLOSE-WAIT":
        net.filters[1] = (lambda packet, now: []) if state in ("FIN-WAIT-1", "LAST-ACK", "CLOSING") else None
        client.shutdown(False, True)
        net.pump()
    if state == "FIN-WAIT-2":
        net.run(0.1)
    if state == "CLOSING":
        # The peer's FIN comes, its acknowledgment of ours does not.
        net.filters[0] = lambda packet, now: []
        net.filters[1] = None
        net._heap.clear()
        server.shutdown(False, True)
        net.run(0.1)
    assert client.state == state
    client.abort()
    net.run(1)


SCENARIOS = {
    "open and close": open_and_close,
    "listen and close": listen_and_close,
    "both close": close_at_once,
    "both open": lambda net: open_at_once(net, close=False),
    "both open, one closes": lambda net: open_at_once(net, close=True),
    "refused": open_nothing,
    "half-open for ever": never_complete_the_handshake,
    **{
        f"abort in {state}": lambda net, state=state: abort(net, state=state)
        for state in ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSE-WAIT", "CLOSING", "LAST-ACK")
    },
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_connection_leaves_the_table(net, scenario):
    SCENARIOS[scenario](net)
    assert net.walked
    assert net.walked <= arrows() | BY_ONE_SEGMENT


def test_connections_walk_each_arrow_of_the_table():
    walked = set()
    for scenario in SCENARIOS.values():
        net = Watched(4)
        scenario(net)
        walked |= net.walked
    assert arrows() <= walked


def test_each_state_and_event_has_its_place():
    assert states.TRANSITIONS.keys() == states.NAMES.keys()
    assert {event for events in states.TRANSITIONS.values() for event in events} == states.EVENT_NAMES.keys()
    with pytest.raises(KeyError):
        states.after(states.TIME_WAIT, states.CLOSE)


def test_the_docs_show_the_table():
    assert f"```mermaid\n{states.diagram()}```\n" in (ROOT / "docs" / "design" / "tcp.md").read_text()
