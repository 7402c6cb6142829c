"""Plays a script against the machine: events in order, each at its time, until one goes wrong."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from catenet.testing.packetdrill.calls import Calls, Outcome, Work
from catenet.testing.packetdrill.clock import Due, resolve, seconds
from catenet.testing.packetdrill.code import CodeRunner
from catenet.testing.packetdrill.compare import describe_sent, describe_spec, difference, follows, merge, split
from catenet.testing.packetdrill.config import Config, apply_options, version_of_addresses, versions_with, with_version
from catenet.testing.packetdrill.environment import Environment, fast_open_cookies
from catenet.testing.packetdrill.flow import Flow, FlowState
from catenet.testing.packetdrill.machine import Machine, Running
from catenet.testing.packetdrill.packets import FLAGS
from catenet.testing.packetdrill.parser import parse_script, read_options
from catenet.testing.packetdrill.shell import run_commands
from catenet.testing.packetdrill.syntax import (
    Call,
    Clock,
    Code,
    Command,
    Event,
    IcmpSpec,
    PacketSpec,
    Script,
    ScriptError,
    TcpSpec,
    UdpSpec,
)
from catenet.testing.packetdrill.wire import (
    ICMP,
    ICMPV6,
    TCP,
    UDP,
    Route,
    Sent,
    icmp_numbers,
    inject_icmp,
    inject_tcp,
    inject_udp,
    quote_tcp,
    quote_udp,
)

__all__ = ["Result", "run_file", "run_script"]

_FIRST_REMOTE_PORT: Final = 40001
_BLOCKED_LIMIT: Final = 3600 * 1_000_000
"""Microseconds that a call may block which the script does not expect to."""
_LOOKAHEAD: Final = 5 * 1_000_000
"""Microseconds to look beyond the time of a packet that does not come, to say what comes instead."""
_AWAIT_IDLE: Final = 1_000_000
"""Microseconds that a blocking call may still take when the next call is due."""

_MSS: Final = 2
_WINDOW_SCALE: Final = 3
_MSS_OF_ETHERNET: Final = (1440).to_bytes(2, "big")
"""What 1,500 octets leave for TCP over IPv6."""
_SYN, _ACK = FLAGS["S"], FLAGS["."]
_SYNACK = _SYN | _ACK


@dataclass
class Result:
    """Result of a script. `line` is where it failed, 0 for nowhere; `wrong` says that the script itself is at fault."""

    path: str
    ip_version: str
    passed: bool = True
    wrong: bool = False
    line: int = 0
    message: str = ""
    expected: str = ""
    sent: str = ""
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


class _Failed(Exception):
    """An event did not go as the script says."""

    def __init__(self, message: str, expected: str = "", sent: str = "") -> None:
        super().__init__(message)
        self.expected = expected
        self.sent = sent


def run_file(path: Path, options: Iterable[tuple[str, str | None]] = ()) -> Result:
    """Run a script from a file; `options` are those of the command line, which win over the script's own.

    Raises:
        OSError: the file cannot be read.
    """
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    return run_script(text, str(path), path.parent, options)


def _version_of_name(name: str) -> str | None:
    """IP version that a script is for by its name: `basic-v4`, `pmtu_ipv6` (packetdrill's test runner does so)."""
    found = re.search(r"[-_](?:ip)?v([46])$", Path(name).stem)
    return f"ipv{found.group(1)}" if found else None


def run_script(text: str, name: str, directory: Path, options: Iterable[tuple[str, str | None]] = ()) -> Result:
    """Run a script; shell files that it names are sought in `directory`."""
    chosen = list(options)
    result = Result(name, dict(chosen).get("ip_version") or "ipv4")
    try:
        script, config = _prepare(text, chosen, _version_of_name(name))
        result.ip_version = config.ip_version
        _ScriptRunner(script, config, directory, result).play()
    except ScriptError as error:
        result.passed, result.wrong, result.line, result.message = False, True, error.line, str(error)
    return result


def _prepare(text: str, options: list[tuple[str, str | None]], named: str | None) -> tuple[Script, Config]:
    """Read the options first: what they define, addresses among it, is needed to read the rest.

    The IP version is the script's own option, else that of its addresses or of its name (`named`), else as asked for.
    """
    config = Config()
    own = read_options(text)
    for line, name, value in own:
        try:
            apply_options(config, [(name, value)])
        except ValueError as error:
            raise ScriptError(line, str(error)) from None
    own_version = any(name == "ip_version" for _, name, _ in own)
    try:
        version = version_of_addresses(config) or named
        if version is not None and not own_version and dict(options).get("ip_version") not in versions_with(version):
            config.ip_version, own_version = version, True
        apply_options(config, [pair for pair in options if not (own_version and pair[0] == "ip_version")])
        with_version(config)
    except ValueError as error:
        raise ScriptError(1, str(error)) from None
    for name, value in fast_open_cookies(config).items():
        config.defines.setdefault(name, value)
    script = parse_script(text, config.defines)
    mtu_is_free = not any(name == "mtu" for _, name, _ in own) and "mtu" not in dict(options)
    if config.wire_version == 6 and mtu_is_free and _first_option(script, _MSS) == _MSS_OF_ETHERNET:
        config.mtu = 1500  # written for IPv6 alone: not with the larger MTU that makes IPv4's MSS fit
    return script, config


def _first_option(script: Script, kind: int) -> bytes | None:
    """Value of an option of the first packet that a script expects, if that is a SYN."""
    for event in script.events:
        action = event.action
        if isinstance(action, PacketSpec) and action.outbound and isinstance(action.body, TcpSpec):
            values = [one.value for one in action.body.options or () if one.kind == kind]
            return values[0] if values and action.body.flags & _SYN else None
    return None


@dataclass
class _Pending:
    """A call that the script expects to block, and until when."""

    event: Event
    call: Call
    work: Work
    running: Running
    due: Due


class _ScriptRunner:
    """State of one run."""

    def __init__(self, script: Script, config: Config, directory: Path, result: Result) -> None:
        self.script = script
        self.config = config
        self.directory = directory
        self.result = result
        self.machine = Machine(config)
        self.environment = Environment(self.machine, config, result.notes)
        self.calls = Calls(self.machine, self.environment, config)
        self.code = CodeRunner()
        self.flow: Flow | None = None
        self.flows: list[Flow] = []
        self.pending: _Pending | None = None
        self.next_port = _FIRST_REMOTE_PORT
        self.last_start = 0
        self.last_inbound = False

    def play(self) -> None:
        """Do everything; fills the result in."""
        line = 0
        try:
            for path in self.config.init_scripts:
                self._command(path)
            if self.script.init is not None:
                line, command = self.script.init
                self._command(command.text)
            self._adopt_scale()
            for event in self.script.events:
                line = event.line
                self._event(event)
                self.machine.tick()
            if self.pending is not None:
                line = self.pending.event.line
                self._await_pending(self.pending.due.end + int(self.pending.due.tolerance) + _LOOKAHEAD)
            self._check_code(self.code.finish())
        except _Failed as failed:
            result = self.result
            result.passed, result.line, result.message = False, line, str(failed)
            result.expected, result.sent = failed.expected, failed.sent
        except ScriptError:
            raise
        except Exception as error:  # a bug in the stack is what scripts are there to find: the next script goes on
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.result.passed, self.result.line = False, line
            self.result.message = f"{type(error).__name__} in {Path(where.filename).name}:{where.lineno}: {error}"
            self.result.notes.append(traceback.format_exc())
        finally:
            self.code.close()
        self.result.seconds = self.machine.usecs / 1e6

    def _adopt_scale(self) -> None:
        """A script without settings was written on a machine of its time: take the window scale it expects of ours."""
        scale = _first_option(self.script, _WINDOW_SCALE)
        if scale is not None:
            self.environment.adopt_scale(scale[0])

    # --- time ---

    def _event(self, event: Event) -> None:
        action = event.action
        inbound = isinstance(action, PacketSpec) and not action.outbound
        now = self.machine.usecs
        offset = self.last_start if inbound and self.last_inbound else now
        due = resolve(event.when, offset, self.last_start, self.config)
        if not (isinstance(action, PacketSpec) and action.outbound):
            self._wait_for(due, event)
        match action:
            case PacketSpec(outbound=True):
                self._expect_packet(action, due, event.when.clock is Clock.ANY)
            case PacketSpec():
                self._inject(action, event)
            case Call():
                self._call(event, action, offset)
            case Command(text):
                self._command(text)
            case Code(text):
                self._code(text)
        self.last_start = due.start if not due.anytime else self.machine.usecs
        self.last_inbound = inbound

    def _wait_for(self, due: Due, event: Event) -> None:
        self.machine.advance(due.start)
        missed = due.miss("event", self.machine.usecs)
        if missed:
            raise _Failed(missed)

    # --- system calls ---

    def _call(self, event: Event, call: Call, offset: int) -> None:
        if self.pending is not None:
            self._await_pending(self.machine.usecs + _AWAIT_IDLE)
        try:
            work = self.calls.prepare(call)
        except ValueError as error:
            raise ScriptError(event.line, f"{call.name}: {error}") from None
        self._begin(call, work)
        running = self.machine.start(work.run)
        if call.end is not None:
            shift = offset if event.when.clock is Clock.RELATIVE else 0
            due = resolve(replace(event.when, start=call.end), shift, self.machine.usecs, self.config)
            self.pending = _Pending(event, call, work, running, due)
            if running.done:
                self._finish_pending()
            return
        self._let_block(call, running)
        self._end(event.line, call, work, running)

    def _let_block(self, call: Call, running: Running) -> None:
        """Run a call to its end that the script does not say blocks; time goes on meanwhile."""
        limit = self.machine.usecs + _BLOCKED_LIMIT
        while not running.done:
            if self.machine.next_deadline() is None:
                raise _Failed(f"{call.name} blocks for ever")
            if not self.machine.fire_next(limit):
                raise _Failed(f"{call.name} blocks for more than {seconds(_BLOCKED_LIMIT)} s")

    def _await_pending(self, until: int) -> None:
        """Let a blocking call come to its end, until a time at most."""
        pending = self.pending
        assert pending is not None
        while not pending.running.done:
            if not self.machine.fire_next(until):
                raise _Failed(f"{pending.call.name} of line {pending.event.line} still blocks")
        self._finish_pending()

    def _finish_pending(self) -> None:
        pending = self.pending
        if pending is None or not pending.running.done:
            return
        self.pending = None
        self._end(pending.event.line, pending.call, pending.work, pending.running)
        missed = pending.due.miss(f"return of {pending.call.name}", pending.running.finished)
        if missed:
            raise _Failed(missed)

    def _begin(self, call: Call, work: Work) -> None:
        """What a call says about the flow under test before it is made."""
        if work.connects is not None:
            flow = self._flow_of(work.connects)
            if flow is not None and work.disconnects:
                flow.state = FlowState.NEW
            elif flow is not None and flow.state is FlowState.NEW:
                flow.state = FlowState.CONNECTING
                assert self.config.remote_ip is not None
                flow.remote = (self.config.remote_ip, self.config.connect_port)

    def _end(self, line: int, call: Call, work: Work, running: Running) -> None:
        outcome = running.result
        assert isinstance(outcome, Outcome)
        if outcome.nonsense is not None:
            raise ScriptError(line, f"{call.name}: {outcome.nonsense}")
        complaint = self.calls.check(call, outcome)
        if complaint:
            raise _Failed(complaint)
        if outcome.value < 0:
            return
        expected = self.calls.expected(call)
        if call.name == "socket":
            self.flow = Flow(work.protocol, expected)
            self.flows.append(self.flow)
        elif call.name == "listen" and (flow := self._flow_of(work.script_fd)) is not None:
            flow.state = FlowState.LISTENING
        elif call.name == "accept":
            self._accepted(expected)
        elif call.name == "close" and (flow := self._flow_of(work.script_fd)) is not None:
            flow.fd = None

    def _accepted(self, fd: int) -> None:
        for flow in reversed(self.flows):
            if flow.fd is None and flow.state in (FlowState.SYNACK_SENT, FlowState.SYNACK_ACKED) and not flow.accepted:
                flow.fd, flow.accepted = fd, True
                return

    def _flow_of(self, fd: int | None) -> Flow | None:
        return next((flow for flow in reversed(self.flows) if flow.fd == fd), None) if fd is not None else None

    # --- packets to the stack ---

    def _inject(self, spec: PacketSpec, event: Event) -> None:
        if spec.outer:
            raise ScriptError(event.line, f"{spec.outer[0].kind} around a packet is not supported")
        try:
            packet = self._build(spec, self._flow_for(spec))
        except ValueError as error:
            raise ScriptError(event.line, str(error)) from None
        self.machine.inject(packet)
        self._finish_pending()

    def _flow_for(self, spec: PacketSpec) -> Flow:
        """The flow that a packet of the script belongs to; a SYN to a listener begins one."""
        flow = self.flow
        body = spec.body
        if isinstance(body, TcpSpec):
            listening = flow is None or flow.state is FlowState.LISTENING
            if not spec.outbound and listening:
                return self._passive_flow(body)
            connecting = flow is not None and flow.state is FlowState.CONNECTING
            if spec.outbound and connecting and body.flags & (_SYN | _ACK) == _SYN:
                assert flow is not None
                flow.state = FlowState.SYN_SENT
                flow.script_local_isn = body.seq
        if flow is None:
            raise _Failed("no socket that the packet could belong to")
        return flow

    def _passive_flow(self, body: TcpSpec) -> Flow:
        flow = Flow(TCP)
        flow.state = FlowState.PACKET_RECEIVED
        assert self.config.local_ip is not None
        assert self.config.remote_ip is not None
        flow.local = (self.config.local_ip, self.config.bind_port)
        flow.remote = (self.config.remote_ip, self.next_port)
        flow.remote_isn = body.seq
        self.next_port += 1
        self.flow = flow
        self.flows.append(flow)
        return flow

    def _build(self, spec: PacketSpec, flow: Flow) -> bytes:
        body = spec.body
        self._fill_in(flow)
        route = Route(flow.remote[0], flow.local[0], spec.ip.tos, spec.ip.flow_label, spec.ip.ttl)
        ports = (spec.source_port or flow.remote[1], spec.destination_port or flow.local[1])
        if isinstance(body, UdpSpec):
            return inject_udp(route, ports, body.length)
        if isinstance(body, IcmpSpec):
            return self._build_icmp(body, route, flow)
        if flow.state is FlowState.SYNACK_SENT and body.flags & _ACK:
            flow.state = FlowState.SYNACK_ACKED
        elif flow.state is FlowState.SYN_SENT and body.flags & _SYN and body.flags & _ACK:
            flow.state = FlowState.SYN_ACKED
            flow.remote_isn = body.seq
        elif flow.state is FlowState.SYN_SENT and body.flags & _SYN:
            flow.remote_isn = body.seq  # simultaneous open
        seq, ack, options = flow.to_live(body, scaled=self.config.tcp_ts_ecr_scaled)
        return inject_tcp(route, ports, (seq, ack), body.flags, body.window or 0, body.urgent, options, body.length)

    def _fill_in(self, flow: Flow) -> None:
        """Names of a flow that has sent nothing yet, as a UDP server."""
        assert self.config.local_ip is not None
        assert self.config.remote_ip is not None
        if not flow.local[0]:
            flow.local = (self.config.local_ip, self.config.bind_port)
        if not flow.remote[0]:
            flow.remote = (self.config.remote_ip, self.config.connect_port)

    def _build_icmp(self, body: IcmpSpec, route: Route, flow: Flow) -> bytes:
        version = self.config.wire_version
        kind, code = icmp_numbers(version, body.type_name, body.code_name)
        rest = body.identifier << 16
        if body.mtu is not None:
            rest = body.mtu
        back = Route(route.destination, route.source)
        ports = (flow.local[1], flow.remote[1])
        length = body.quoted_length or 0
        if body.quoted_protocol == "raw":
            return inject_icmp(route, kind, code, rest, bytes(max(length - 8, 0)))
        if body.quoted_protocol == "udp" or flow.protocol == UDP:
            return inject_icmp(route, kind, code, rest, quote_udp(back, ports, length))
        return inject_icmp(route, kind, code, rest, quote_tcp(back, ports, flow.quoted_seq(body.quoted_seq), length))

    # --- packets from the stack ---

    def _expect_packet(self, spec: PacketSpec, due: Due, anytime: bool) -> None:
        flow = self._flow_for(spec)
        length = spec.body.length if isinstance(spec.body, TcpSpec) else 0
        until = self.machine.usecs + _BLOCKED_LIMIT if anytime else due.end + int(due.tolerance)
        sent = self._next_packet(spec, flow, until)
        while isinstance(spec.body, TcpSpec) and len(sent.payload) < length and not self.config.strict_segments:
            following = self._following(sent, flow, until)
            if following is None:
                break
            sent = merge(sent, following)
        assert self.config.mtu is not None
        if isinstance(spec.body, TcpSpec) and sent.size > self.config.mtu and len(sent.payload) > length > 0:
            sent, rest = split(sent, length)
            self.machine.outbox.appendleft(rest)
        if isinstance(spec.body, TcpSpec) and sent.protocol == TCP:
            flow.map_timestamp(spec.body, sent)
        wrong = difference(spec, sent, flow, self.config)
        wrong = wrong or due.miss("packet", self.machine.usecs_of(sent.when))
        if wrong:
            at = seconds(self.machine.usecs_of(sent.when))
            raise _Failed(wrong, describe_spec(spec), f"{describe_sent(sent)} at {at} s")
        self._finish_pending()

    def _next_packet(self, spec: PacketSpec, flow: Flow, until: int) -> Sent:
        """The next packet of the flow, in the script's numbers; others are dropped."""
        body = spec.body
        if flow.state is FlowState.PACKET_RECEIVED and isinstance(body, TcpSpec) and body.flags & _SYNACK == _SYNACK:
            flow.script_local_isn = body.seq
        found = self._sniff(spec, flow, until)
        if found is not None:
            return found
        found = self._sniff(spec, flow, until + _LOOKAHEAD)
        if found is None:
            raise _Failed("nothing was sent", describe_spec(spec), f"nothing until {seconds(until)} s and after")
        at = seconds(self.machine.usecs_of(found.when))
        raise _Failed("packet came too late or not at all", describe_spec(spec), f"{describe_sent(found)} at {at} s")

    def _sniff(self, spec: PacketSpec, flow: Flow, until: int) -> Sent | None:
        while self.machine.advance_to_packet(until):
            sent = self.machine.outbox.popleft()
            if not self._belongs(spec, sent, flow):
                continue
            if sent.protocol != TCP:
                return sent
            if flow.state is FlowState.PACKET_RECEIVED and sent.flags & _SYN and sent.flags & _ACK:
                flow.state = FlowState.SYNACK_SENT
                flow.live_local_isn = sent.seq
            flow.to_script(sent)
            return sent
        return None

    def _following(self, first: Sent, flow: Flow, until: int) -> Sent | None:
        """The segment right after another one, if that is what the stack sends next."""
        while self.machine.advance_to_packet(until):
            sent = self.machine.outbox[0]
            if flow.matches(sent):
                flow.to_script(sent)
                return self.machine.outbox.popleft() if follows(first, sent) else None
            self.machine.outbox.popleft()
        return None

    def _belongs(self, spec: PacketSpec, sent: Sent, flow: Flow) -> bool:
        """Whether the script means a packet that was sent; one of another flow is not."""
        if isinstance(spec.body, IcmpSpec):
            return sent.protocol in (ICMP, ICMPV6) and sent.destination == self.config.remote_ip
        if spec.source_port or spec.destination_port:
            ports = (spec.source_port or sent.source_port, spec.destination_port or sent.destination_port)
            return sent.protocol == flow.protocol and ports == (sent.source_port, sent.destination_port)
        if flow.matches(sent):
            return sent.protocol == flow.protocol
        if flow.learns_from(sent) and not any(other.has_sent(sent) for other in self.flows):
            flow.learn(sent)
            return True
        return False

    # --- commands and code ---

    def _command(self, text: str) -> None:
        try:
            run_commands(text, self.directory, self.environment)
        except ValueError as error:
            raise _Failed(f"command: {error}") from None

    def _code(self, text: str) -> None:
        fd = self.flow.fd if self.flow is not None else None
        values = self.calls.values_for_code(fd) if fd is not None else {}
        self._check_code(self.code.run(text, values))

    def _check_code(self, wrong: str | None) -> None:
        if wrong:
            raise _Failed(wrong)
