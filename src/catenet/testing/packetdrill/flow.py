"""The flow under test: script numbers to the stack's numbers and back.

A script counts from each side's initial sequence number and knows neither ports nor addresses. The stack's own initial
sequence number, port and timestamp clock are learnt from its first packets. The other side is the script, so its
numbers need no change.
"""

from __future__ import annotations

import enum
import struct
from typing import Final

from catenet.testing.packetdrill.packets import FLAGS
from catenet.testing.packetdrill.syntax import TcpSpec
from catenet.testing.packetdrill.wire import TCP, Sent

__all__ = ["SEQUENCE_MASK", "TIMESTAMPS_KIND", "Flow", "FlowState"]

_SYN: Final = FLAGS["S"]
_ACK: Final = FLAGS["."]
SEQUENCE_MASK: Final = 0xFFFFFFFF
_SACK: Final = 5
TIMESTAMPS_KIND: Final = 8


class FlowState(enum.Enum):
    """State of a flow in the script."""

    NEW = enum.auto()
    LISTENING = enum.auto()
    CONNECTING = enum.auto()
    SYN_SENT = enum.auto()
    SYN_ACKED = enum.auto()
    PACKET_RECEIVED = enum.auto()
    SYNACK_SENT = enum.auto()
    SYNACK_ACKED = enum.auto()


class Flow:
    """One connection or exchange of datagrams; `fd` is the script's descriptor of its socket, None until accepted."""

    def __init__(self, protocol: int, fd: int | None = None) -> None:
        self.protocol = protocol
        self.fd = fd
        self.state = FlowState.NEW
        self.accepted = False
        self.local: tuple[bytes, int] = (b"", 0)
        self.remote: tuple[bytes, int] = (b"", 0)
        self.live_local_isn = 0
        self.script_local_isn = 0
        self.remote_isn = 0
        self.flow_labels: tuple[int, int] | None = None
        self._ts_by_script: dict[int, int] = {}
        self._ts_first: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"<Flow fd={self.fd} {self.state.name}>"

    def matches(self, sent: Sent) -> bool:
        """Whether a packet of the stack belongs to this flow."""
        return (sent.source, sent.source_port) == self.local and (
            sent.destination,
            sent.destination_port,
        ) == self.remote

    def has_sent(self, sent: Sent) -> bool:
        """Whether a SYN is this flow's, sent again."""
        return self.matches(sent) and sent.seq == self.live_local_isn

    def learns_from(self, sent: Sent) -> bool:
        """Whether a packet is the first of a connection attempt, which tells the local name."""
        if sent.protocol != self.protocol or (sent.destination, sent.destination_port) != self.remote:
            return False
        if self.protocol == TCP:
            return self.state is FlowState.SYN_SENT and sent.flags & (_SYN | _ACK) == _SYN
        return self.state is FlowState.CONNECTING

    def learn(self, sent: Sent) -> None:
        """Take local name and sequence number from the first packet."""
        self.local = (sent.source, sent.source_port)
        if self.protocol == TCP:
            self.live_local_isn = sent.seq

    # --- into the stack ---

    def to_live(self, spec: TcpSpec, *, scaled: bool) -> tuple[int, int, list[tuple[int, bytes]]]:
        """Sequence number, acknowledgement and options of a segment to be injected.

        Raises:
            ValueError: it echoes a timestamp that the stack never sent.
        """
        syn = bool(spec.flags & _SYN)
        seq = spec.seq if syn else (spec.seq + self.remote_isn) & SEQUENCE_MASK
        shift = self.live_local_isn - (self.script_local_isn if syn else 0)
        ack = (spec.ack + shift) & SEQUENCE_MASK if spec.flags & _ACK else spec.ack
        options = []
        for option in spec.options or ():
            value = option.value
            if option.kind == _SACK:
                value = _shifted(value, shift)
            elif option.kind == TIMESTAMPS_KIND and spec.flags & _ACK and len(value) == 8:
                value = value[:4] + struct.pack("!I", self._live_echo(struct.unpack_from("!I", value, 4)[0], scaled))
            options.append((option.kind, value))
        return seq, ack, options

    def _live_echo(self, script_echo: int, scaled: bool) -> int:
        live = self._ts_by_script.get(script_echo)
        if live is not None:
            return live
        if scaled and self._ts_first is not None:
            script, actual = self._ts_first
            return (script_echo - script + actual) & SEQUENCE_MASK
        raise ValueError(
            f"the segment echoes timestamp {script_echo}, which no earlier packet of the script has as val"
        )

    def quoted_seq(self, script_seq: int) -> int:
        """The stack's sequence number of a segment that an ICMP error quotes."""
        return (script_seq + self.live_local_isn) & SEQUENCE_MASK

    # --- out of the stack ---

    def to_script(self, sent: Sent) -> None:
        """Rewrite a packet's sequence numbers (not its timestamps) to the script's, once."""
        if sent.mapped:
            return
        sent.mapped = True
        syn = bool(sent.flags & _SYN)
        sent.seq = (sent.seq - self.live_local_isn + (self.script_local_isn if syn else 0)) & SEQUENCE_MASK
        shift = 0 if syn else -self.remote_isn
        if sent.flags & _ACK:
            sent.ack = (sent.ack + shift) & SEQUENCE_MASK
        if shift:
            sent.options = [(kind, _shifted(value, shift) if kind == _SACK else value) for kind, value in sent.options]

    def map_timestamp(self, spec: TcpSpec, sent: Sent) -> None:
        """Pair the script's timestamp value with the stack's, then rewrite the packet's to the script's clock."""
        expected = next((option.value for option in spec.options or () if option.kind == TIMESTAMPS_KIND), None)
        where = next((index for index, (kind, _) in enumerate(sent.options) if kind == TIMESTAMPS_KIND), None)
        if expected is None or where is None or len(sent.options[where][1]) != 8:
            return
        script = struct.unpack_from("!I", expected)[0]
        value = sent.options[where][1]
        actual = struct.unpack_from("!I", value)[0]
        self._ts_by_script[script] = actual
        if self._ts_first is None:
            self._ts_first = (script, actual)
        first_script, first_actual = self._ts_first
        mapped = (actual - first_actual + first_script) & SEQUENCE_MASK
        sent.options[where] = (TIMESTAMPS_KIND, struct.pack("!I", mapped) + value[4:])


def _shifted(blocks: bytes, shift: int) -> bytes:
    """SACK blocks with every edge moved."""
    edges = struct.unpack(f"!{len(blocks) // 4}I", blocks[: len(blocks) // 4 * 4])
    return struct.pack(f"!{len(edges)}I", *((edge + shift) & SEQUENCE_MASK for edge in edges))
