"""Idle connections that have known no trouble, kept in few numbers that many of them share.

Of some two hundred variables about eighty change in a conversation without losses. `Calm` and `Times` hold these,
relative to where both streams are and to when the connection last heard of its peer, so that connections with the same
history have equal ones: the times only until messages come at intervals of their own. All others say how the connection
was set up, or that nothing went wrong, and are the same in all that are set up alike (`alike.py`). Each is named, and
no loop goes over names: compiled, noting or giving one back costs a nanosecond. Connections with troubles behind them
are kept the slow path (`shapes.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from catenet.stack.tcp.congestion.cubic import Cubic

if TYPE_CHECKING:
    from catenet.stack.tcp.congestion import Congestion
    from catenet.stack.tcp.control.connection import Connection
    from catenet.stack.tcp.parking.pool import Template

__all__ = ["Calm", "Times"]

_UNSET: Final = 1 << 61
"""Distance of a variable that is 0, as which it was never set."""


def _since(value: int, base: int) -> int:
    return value - base if value else _UNSET


def _back(distance: int, base: int) -> int:
    return base + distance if distance != _UNSET else 0


def _moved(track: list[tuple[int, int]], by: int) -> list[tuple[int, int]]:
    return [(at + by, rtt) for at, rtt in track]


class Calm:
    """What may change in an untroubled connection; positions are relative to the next of their stream."""

    __slots__ = (
        "ack_quick",
        "app_limited",
        "ato",
        "bytes_acked",
        "bytes_received",
        "bytes_sent",
        "chrono_times",
        "current_rtt",
        "cwnd",
        "cwnd_limited",
        "cwnd_usage_seq",
        "cwnd_used",
        "data_segments_in",
        "data_segments_out",
        "delay_min",
        "delivered",
        "last_rtt",
        "last_segment_size",
        "max_packets_out",
        "max_window",
        "mdev",
        "mdev_max",
        "pacing_rate",
        "pingpong",
        "pseudo",
        "pushed",
        "rack_advanced",
        "rack_end",
        "rack_rtt",
        "rate_app_limited",
        "rate_delivered",
        "rate_interval",
        "rcv_rtt",
        "rcv_rtt_seq",
        "rcv_space",
        "rcv_space_seq",
        "rcv_ssthresh",
        "rcv_wnd",
        "rcv_wup",
        "receive_buffer",
        "round_end",
        "rto",
        "rtt_seq",
        "rttvar",
        "run_start",
        "rx_max_mss",
        "samples",
        "segments_in",
        "segments_out",
        "send_buffer",
        "snd_sml",
        "snd_up",
        "snd_wl1",
        "snd_wnd",
        "srtt",
        "ssthresh",
        "template",
        "ts_offset",
        "ts_recent",
        "window_clamp",
    )

    def __init__(self, c: Connection, template: Template) -> None:
        una, nxt, heard = c.snd_una, c.rcv_nxt, c.last_heard
        self.template = template
        self._note_pace(c)
        self._note_sender(c, una)
        self._note_receiver(c, nxt)
        self._note_totals(c, una - c.iss, nxt - c.irs, heard)
        self._note_algorithm(c.congestion, una)

    def give(self, c: Connection) -> None:
        """Set the variables of a connection, whose positions and time are set."""
        una, nxt, heard = c.snd_una, c.rcv_nxt, c.last_heard
        self._give_pace(c)
        self._give_sender(c, una)
        self._give_receiver(c, nxt)
        self._give_totals(c, una - c.iss, nxt - c.irs, heard)
        self._give_algorithm(c.congestion, una)

    def fits(self, c: Connection) -> bool:
        """Whether this is what would be noted of a connection."""
        una, nxt, heard = c.snd_una, c.rcv_nxt, c.last_heard
        return (
            self._fits_receiver(c, nxt)
            and self._fits_sender(c, una)
            and self._fits_pace(c)
            and self._fits_totals(c, una - c.iss, nxt - c.irs, heard)
            and self._fits_algorithm(c.congestion, una)
        )

    def _note_totals(self, c: Connection, sent: int, got: int, heard: int) -> None:
        self.bytes_acked = c.bytes_acked - sent
        self.bytes_sent = c.bytes_sent - sent
        self.bytes_received = c.bytes_received - got
        # The clock of the peer's timestamps ticks in milliseconds.
        self.ts_recent = c.ts_recent - heard // 1000

    def _give_totals(self, c: Connection, sent: int, got: int, heard: int) -> None:
        c.bytes_acked = self.bytes_acked + sent
        c.bytes_sent = self.bytes_sent + sent
        c.bytes_received = self.bytes_received + got
        c.ts_recent = self.ts_recent + heard // 1000

    def _fits_totals(self, c: Connection, sent: int, got: int, heard: int) -> bool:
        return (
            self.bytes_acked == c.bytes_acked - sent
            and self.bytes_sent == c.bytes_sent - sent
            and self.bytes_received == c.bytes_received - got
            and self.ts_recent == c.ts_recent - heard // 1000
            and (self.chrono_times is c.chrono_times or self.chrono_times == c.chrono_times)
        )

    def _note_algorithm(self, algorithm: Congestion, una: int) -> None:
        self.round_end = self.current_rtt = self.last_rtt = self.delay_min = self.samples = 0
        if isinstance(algorithm, Cubic):
            self.round_end = _since(algorithm.round_end, una)
            self.current_rtt = algorithm.current_rtt
            self.last_rtt = algorithm.last_rtt
            self.delay_min = algorithm.delay_min
            self.samples = algorithm.samples

    def _give_algorithm(self, algorithm: Congestion, una: int) -> None:
        if isinstance(algorithm, Cubic):
            algorithm.round_end = _back(self.round_end, una)
            algorithm.current_rtt = self.current_rtt
            algorithm.last_rtt = self.last_rtt
            algorithm.delay_min = self.delay_min
            algorithm.samples = self.samples

    def _fits_algorithm(self, algorithm: Congestion, una: int) -> bool:
        return not isinstance(algorithm, Cubic) or (
            self.round_end == _since(algorithm.round_end, una)
            and self.current_rtt == algorithm.current_rtt
            and self.last_rtt == algorithm.last_rtt
            and self.delay_min == algorithm.delay_min
            and self.samples == algorithm.samples
        )

    def _note_sender(self, c: Connection, una: int) -> None:
        self.snd_up = _since(c.snd_up, una)
        self.snd_sml = _since(c.snd_sml, una)
        self.pushed = _since(c.pushed, una)
        self.run_start = _since(c.run_start, una)
        self.rtt_seq = _since(c.rtt_seq, una)
        self.rack_end = _since(c.rack_end, una)
        self.cwnd_usage_seq = _since(c.cwnd_usage_seq, una)
        self.chrono_times = c.chrono_times
        self.segments_out = c.segments_out
        self.data_segments_out = c.data_segments_out
        self.delivered = c.delivered
        self.app_limited = c.app_limited
        self.send_buffer = c.send_buffer
        self.ts_offset = c.ts_offset
        self.pseudo = c.pseudo

    def _note_pace(self, c: Connection) -> None:
        self.cwnd = c.cwnd
        self.ssthresh = c.ssthresh
        self.cwnd_used = c.cwnd_used
        self.cwnd_limited = c.cwnd_limited
        self.max_packets_out = c.max_packets_out
        self.pacing_rate = c.pacing_rate
        self.snd_wnd = c.snd_wnd
        self.max_window = c.max_window
        self.srtt = c.srtt
        self.mdev = c.mdev
        self.mdev_max = c.mdev_max
        self.rttvar = c.rttvar
        self.rto = c.rto
        self.rack_rtt = c.rack_rtt
        self.rack_advanced = c.rack_advanced
        self.rate_delivered = c.rate_delivered
        self.rate_interval = c.rate_interval
        self.rate_app_limited = c.rate_app_limited

    def _note_receiver(self, c: Connection, nxt: int) -> None:
        self.snd_wl1 = _since(c.snd_wl1, nxt)
        self.rcv_wup = _since(c.rcv_wup, nxt)
        self.rcv_rtt_seq = _since(c.rcv_rtt_seq, nxt)
        self.rcv_space_seq = _since(c.rcv_space_seq, nxt)
        self.segments_in = c.segments_in
        self.data_segments_in = c.data_segments_in
        self.rcv_wnd = c.rcv_wnd
        self.rcv_ssthresh = c.rcv_ssthresh
        self.window_clamp = c.window_clamp
        self.receive_buffer = c.receive_buffer
        self.rcv_space = c.rcv_space
        self.rcv_rtt = c.rcv_rtt
        self.rx_max_mss = c.rx_max_mss
        self.last_segment_size = c.last_segment_size
        self.ack_quick = c.ack_quick
        self.pingpong = c.pingpong
        self.ato = c.ato

    def _give_sender(self, c: Connection, una: int) -> None:
        c.snd_up = _back(self.snd_up, una)
        c.snd_sml = _back(self.snd_sml, una)
        c.pushed = _back(self.pushed, una)
        c.run_start = _back(self.run_start, una)
        c.rtt_seq = _back(self.rtt_seq, una)
        c.rack_end = _back(self.rack_end, una)
        c.cwnd_usage_seq = _back(self.cwnd_usage_seq, una)
        c.chrono_times = self.chrono_times
        c.segments_out = self.segments_out
        c.data_segments_out = self.data_segments_out
        c.delivered = self.delivered
        c.app_limited = self.app_limited
        c.send_buffer = self.send_buffer
        c.ts_offset = self.ts_offset
        c.pseudo = self.pseudo

    def _give_pace(self, c: Connection) -> None:
        c.cwnd = self.cwnd
        c.ssthresh = self.ssthresh
        c.cwnd_used = self.cwnd_used
        c.cwnd_limited = self.cwnd_limited
        c.max_packets_out = self.max_packets_out
        c.pacing_rate = self.pacing_rate
        c.snd_wnd = self.snd_wnd
        c.max_window = self.max_window
        c.srtt = self.srtt
        c.mdev = self.mdev
        c.mdev_max = self.mdev_max
        c.rttvar = self.rttvar
        c.rto = self.rto
        c.rack_rtt = self.rack_rtt
        c.rack_advanced = self.rack_advanced
        c.rate_delivered = self.rate_delivered
        c.rate_interval = self.rate_interval
        c.rate_app_limited = self.rate_app_limited

    def _give_receiver(self, c: Connection, nxt: int) -> None:
        c.snd_wl1 = _back(self.snd_wl1, nxt)
        c.rcv_wup = _back(self.rcv_wup, nxt)
        c.rcv_rtt_seq = _back(self.rcv_rtt_seq, nxt)
        c.rcv_space_seq = _back(self.rcv_space_seq, nxt)
        c.segments_in = self.segments_in
        c.data_segments_in = self.data_segments_in
        c.rcv_wnd = self.rcv_wnd
        c.rcv_ssthresh = self.rcv_ssthresh
        c.window_clamp = self.window_clamp
        c.receive_buffer = self.receive_buffer
        c.rcv_space = self.rcv_space
        c.rcv_rtt = self.rcv_rtt
        c.rx_max_mss = self.rx_max_mss
        c.last_segment_size = self.last_segment_size
        c.ack_quick = self.ack_quick
        c.pingpong = self.pingpong
        c.ato = self.ato

    def _fits_sender(self, c: Connection, una: int) -> bool:
        return (
            self.snd_up == _since(c.snd_up, una)
            and self.snd_sml == _since(c.snd_sml, una)
            and self.pushed == _since(c.pushed, una)
            and self.run_start == _since(c.run_start, una)
            and self.rtt_seq == _since(c.rtt_seq, una)
            and self.rack_end == _since(c.rack_end, una)
            and self.cwnd_usage_seq == _since(c.cwnd_usage_seq, una)
            and self.segments_out == c.segments_out
            and self.data_segments_out == c.data_segments_out
            and self.delivered == c.delivered
            and self.app_limited == c.app_limited
            and self.send_buffer == c.send_buffer
            and self.ts_offset == c.ts_offset
            and self.pseudo == c.pseudo
        )

    def _fits_pace(self, c: Connection) -> bool:
        return (
            self.cwnd == c.cwnd
            and self.ssthresh == c.ssthresh
            and self.cwnd_used == c.cwnd_used
            and self.cwnd_limited == c.cwnd_limited
            and self.max_packets_out == c.max_packets_out
            and self.pacing_rate == c.pacing_rate
            and self.snd_wnd == c.snd_wnd
            and self.max_window == c.max_window
            and self.srtt == c.srtt
            and self.mdev == c.mdev
            and self.mdev_max == c.mdev_max
            and self.rttvar == c.rttvar
            and self.rto == c.rto
            and self.rack_rtt == c.rack_rtt
            and self.rack_advanced == c.rack_advanced
            and self.rate_delivered == c.rate_delivered
            and self.rate_interval == c.rate_interval
            and self.rate_app_limited == c.rate_app_limited
        )

    def _fits_receiver(self, c: Connection, nxt: int) -> bool:
        return (
            self.snd_wl1 == _since(c.snd_wl1, nxt)
            and self.rcv_wup == _since(c.rcv_wup, nxt)
            and self.rcv_rtt_seq == _since(c.rcv_rtt_seq, nxt)
            and self.rcv_space_seq == _since(c.rcv_space_seq, nxt)
            and self.segments_in == c.segments_in
            and self.data_segments_in == c.data_segments_in
            and self.rcv_wnd == c.rcv_wnd
            and self.rcv_ssthresh == c.rcv_ssthresh
            and self.window_clamp == c.window_clamp
            and self.receive_buffer == c.receive_buffer
            and self.rcv_space == c.rcv_space
            and self.rcv_rtt == c.rcv_rtt
            and self.rx_max_mss == c.rx_max_mss
            and self.last_segment_size == c.last_segment_size
            and self.ack_quick == c.ack_quick
            and self.pingpong == c.pingpong
            and self.ato == c.ato
        )


class Times:
    """When things happened to an idle connection, relative to when it last heard of its peer."""

    __slots__ = (
        "chrono_at",
        "cwnd_stamp",
        "delivered_at",
        "departed_at",
        "first_sent_at",
        "last_ack",
        "last_ack_sent_at",
        "last_data_in",
        "last_data_out",
        "min_at",
        "min_later",
        "min_rtt",
        "rack_mstamp",
        "rcv_rtt_at",
        "rcv_space_at",
        "round_start",
        "ts_recent_at",
    )

    def __init__(self, c: Connection) -> None:
        heard = c.last_heard
        self.last_data_out = _since(c.last_data_out, heard)
        self.departed_at = _since(c.departed_at, heard)
        self.first_sent_at = _since(c.first_sent_at, heard)
        self.delivered_at = _since(c.delivered_at, heard)
        self.rack_mstamp = _since(c.rack_mstamp, heard)
        self.cwnd_stamp = _since(c.cwnd_stamp, heard)
        self.chrono_at = _since(c.chrono_at, heard)
        self.last_data_in = _since(c.last_data_in, heard)
        self.last_ack_sent_at = _since(c.last_ack_sent_at, heard)
        self.ts_recent_at = _since(c.ts_recent_at, heard)
        self.rcv_rtt_at = _since(c.rcv_rtt_at, heard)
        self.rcv_space_at = _since(c.rcv_space_at, heard)
        self.round_start = self.last_ack = 0
        algorithm = c.congestion
        if isinstance(algorithm, Cubic):
            self.round_start = _since(algorithm.round_start, heard)
            self.last_ack = _since(algorithm.last_ack, heard)
        self.min_at, self.min_rtt = _UNSET, 0
        self.min_later: list[tuple[int, int]] | None = None
        track = c.min_rtt
        if track is not None:
            at, rtt = track[0]
            self.min_at, self.min_rtt = at - heard, rtt
            if len(track) > 1:
                self.min_later = _moved(track[1:], -heard)

    def give(self, c: Connection) -> None:
        """Set the variables of a connection, whose time is set."""
        heard = c.last_heard
        c.last_data_out = _back(self.last_data_out, heard)
        c.departed_at = _back(self.departed_at, heard)
        c.first_sent_at = _back(self.first_sent_at, heard)
        c.delivered_at = _back(self.delivered_at, heard)
        c.rack_mstamp = _back(self.rack_mstamp, heard)
        c.cwnd_stamp = _back(self.cwnd_stamp, heard)
        c.chrono_at = _back(self.chrono_at, heard)
        c.last_data_in = _back(self.last_data_in, heard)
        c.last_ack_sent_at = _back(self.last_ack_sent_at, heard)
        c.ts_recent_at = _back(self.ts_recent_at, heard)
        c.rcv_rtt_at = _back(self.rcv_rtt_at, heard)
        c.rcv_space_at = _back(self.rcv_space_at, heard)
        algorithm = c.congestion
        if isinstance(algorithm, Cubic):
            algorithm.round_start = _back(self.round_start, heard)
            algorithm.last_ack = _back(self.last_ack, heard)
        c.min_rtt = None
        if self.min_at != _UNSET:
            c.min_rtt = [(self.min_at + heard, self.min_rtt)]
            if self.min_later is not None:
                c.min_rtt += _moved(self.min_later, heard)

    def fits(self, c: Connection) -> bool:
        """Whether this is what would be noted of a connection."""
        heard = c.last_heard
        return (
            self.last_data_out == _since(c.last_data_out, heard)
            and self.departed_at == _since(c.departed_at, heard)
            and self.first_sent_at == _since(c.first_sent_at, heard)
            and self.delivered_at == _since(c.delivered_at, heard)
            and self.rack_mstamp == _since(c.rack_mstamp, heard)
            and self.cwnd_stamp == _since(c.cwnd_stamp, heard)
            and self.chrono_at == _since(c.chrono_at, heard)
            and self.last_data_in == _since(c.last_data_in, heard)
            and self.last_ack_sent_at == _since(c.last_ack_sent_at, heard)
            and self.ts_recent_at == _since(c.ts_recent_at, heard)
            and self.rcv_rtt_at == _since(c.rcv_rtt_at, heard)
            and self.rcv_space_at == _since(c.rcv_space_at, heard)
            and self._fits_algorithm(c.congestion, heard)
            and self._fits_minimum(c.min_rtt, heard)
        )

    def _fits_algorithm(self, algorithm: Congestion, heard: int) -> bool:
        return not isinstance(algorithm, Cubic) or (
            self.round_start == _since(algorithm.round_start, heard)
            and self.last_ack == _since(algorithm.last_ack, heard)
        )

    def _fits_minimum(self, track: list[tuple[int, int]] | None, heard: int) -> bool:
        if track is None:
            return self.min_at == _UNSET
        at, rtt = track[0]
        if self.min_at != at - heard or self.min_rtt != rtt:
            return False
        return (None if len(track) == 1 else _moved(track[1:], -heard)) == self.min_later
