"""The settings of a host by name: what each means, in which unit, and which values it takes.

One row for every field of `Settings`, which has the values; names are those of Linux under `net.`, ranges too where the
stack can do with what Linux takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from catenet.control import ALGORITHMS
from catenet.stack.settings import Settings

__all__ = ["SETTINGS", "Setting", "Value", "find"]

Value = int | float | str | tuple[int, ...]
"""What a field of `Settings` holds."""

_MOST: Final = 2**31 - 1
_YEAR: Final = 365 * 86400


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `low` and `high` limit numbers, each of several; a text is one of `choices` if there are any."""

    name: str
    """As `Settings` has it."""
    kernel: str
    """As sysctl(8) has it; empty where Linux has none of the kind."""
    unit: str
    """`s`, `ms`, `us`, `ns`, `B`, `%`, something that is counted (`packets`), or nothing for switches and modes."""
    low: int
    high: int
    meaning: str

    @property
    def default(self) -> Value:
        """What it is unless somebody sets it."""
        value: Value = getattr(_DEFAULTS, self.name)
        return value

    @property
    def choices(self) -> tuple[str, ...]:
        """Texts that it can be; empty for all but a few."""
        if self.name == "tcp_congestion_control":
            return tuple(ALGORITHMS)
        return ("pfifo_fast", "fq") if self.name == "default_qdisc" else ()

    @property
    def type(self) -> str:
        """What it takes, in words: `0 to 2`, `3 numbers 1 to 65535 B`, `reno, cubic, bbr`."""
        default = self.default
        if isinstance(default, str):
            return ", ".join(self.choices) or "text"
        count = f"{len(default)} numbers " if isinstance(default, tuple) else ""
        unit = f" {self.unit}" if self.unit else ""
        return f"{count}{self.low} to {self.high}{unit}"


_DEFAULTS: Final = Settings()
_IP: Final = "net.ipv4."
_CORE: Final = "net.core."
_ROUTE: Final = "net.ipv4.route."
_NEIGH: Final = "net.ipv4.neigh.default."
_CONF4: Final = "net.ipv4.conf.all."
_CONF6: Final = "net.ipv6.conf.all."

# Name, where Linux has it (with what follows `neigh_` for a name), unit, least, most, meaning.
_ROWS: Final[tuple[tuple[str, str, str, int, int, str], ...]] = (
    ("tcp_rmem", _IP, "B", 1, _MOST, "least, first and largest receive buffer of a TCP connection"),
    ("tcp_wmem", _IP, "B", 1, _MOST, "least, first and largest send buffer of a TCP connection"),
    ("tcp_autotune_total", "", "B", 0, 2**40, "buffers that growing connections share; 0: each alone, as Linux"),
    ("tcp_moderate_rcvbuf", _IP, "", 0, 1, "let receive buffers grow as a connection needs them"),
    ("tcp_rcvbuf_low_rtt", _IP, "us", 0, _MOST, "round trip below which receive buffers grow more slowly"),
    ("tcp_window_scaling", _IP, "", 0, 1, "offer windows beyond 64 KB (RFC 7323)"),
    ("tcp_workaround_signed_windows", _IP, "", 0, 1, "offer at most 32 KB to peers without window scaling"),
    ("tcp_timestamps", _IP, "", 0, 2, "0: no timestamps (RFC 7323), 1: with a random offset, 2: without"),
    ("tcp_sack", _IP, "", 0, 1, "selective acknowledgements (RFC 2018)"),
    ("tcp_dsack", _IP, "", 0, 1, "report duplicates (RFC 2883)"),
    ("tcp_recovery", _IP, "", 0, 7, "RACK bits: 1 loss detection, 2 fixed window, 4 no duplicate-ACK threshold"),
    ("tcp_early_retrans", _IP, "", 0, 4, "3, 4: tail loss probes (RFC 8985), 0: none"),
    ("tcp_frto", _IP, "", 0, 2, "find out needless timeouts (RFC 5682)"),
    ("tcp_reordering", _IP, "segments", 1, 300, "disorder that a connection reckons with at first"),
    ("tcp_max_reordering", _IP, "segments", 1, _MOST, "most disorder that a connection learns to reckon with"),
    ("tcp_ecn", _IP, "", 0, 5, "0 off, 1 ask and answer, 2 answer; 3 ask for AccECN, 4 for ECN, 5 answer AccECN"),
    ("tcp_ecn_fallback", _IP, "", 0, 1, "connect without ECN when a SYN with it is lost"),
    ("tcp_ecn_option", _IP, "", 0, 2, "AccECN option: 0 never, 1 as answer, 2 always"),
    ("tcp_ecn_option_beacon", _IP, "", 0, 3, "AccECN options per round trip at least"),
    ("tcp_congestion_control", _IP, "", 0, 0, "congestion control of new connections"),
    ("tcp_cubic_rfc9438", "", "", 0, 1, "CUBIC as RFC 9438 has it, instead of as Linux"),
    ("tcp_hystart", "", "", 0, 2, "CUBIC leaves slow start by 2 HyStart++ (RFC 9406), 1 Linux's HyStart, 0 loss"),
    ("tcp_syn_retries", _IP, "", 1, 127, "retransmissions of a SYN before connect fails"),
    ("tcp_synack_retries", _IP, "", 0, 255, "retransmissions of a SYN-ACK"),
    ("tcp_syn_linear_timeouts", _IP, "", 0, 127, "SYN timeouts before they begin to double"),
    ("tcp_retries1", _IP, "", 0, 255, "timeouts after which the path is doubted"),
    ("tcp_retries2", _IP, "", 0, 255, "timeouts after which a connection is given up"),
    ("tcp_orphan_retries", _IP, "", 0, 255, "the same for connections that their program has closed; 0: 8"),
    ("tcp_fin_timeout", _IP, "s", 0, _YEAR, "how long a closed connection waits for the peer's end"),
    ("tcp_keepalive_time", _IP, "s", 1, 32767, "silence before the first keepalive"),
    ("tcp_keepalive_probes", _IP, "", 1, 127, "keepalives without answer before a connection is given up"),
    ("tcp_keepalive_intvl", _IP, "s", 1, 32767, "time between keepalives"),
    ("tcp_max_syn_backlog", _IP, "connections", 0, _MOST, "handshakes that a listener remembers"),
    ("somaxconn", _CORE, "connections", 0, _MOST, "largest backlog of a listener"),
    ("tcp_syncookies", _IP, "", 0, 2, "1: SYN cookies when a listener is flooded, 2: always"),
    ("tcp_abort_on_overflow", _IP, "", 0, 1, "reset connections for which the backlog has no room"),
    ("tcp_slow_start_after_idle", _IP, "", 0, 1, "begin with the first window after an idle time"),
    ("tcp_min_rtt_wlen", _IP, "s", 0, 86400, "how long the least round trip is remembered"),
    ("tcp_rto_min_us", _IP, "us", 1, _MOST, "least retransmission timeout"),
    ("tcp_rto_max_ms", _IP, "ms", 1000, 120_000, "largest retransmission timeout"),
    ("tcp_notsent_lowat", _IP, "B", 0, 2**32 - 1, "unsent data below which a socket is writable"),
    ("tcp_min_tso_segs", _IP, "segments", 1, 255, "least size of what is given to the device at once"),
    ("tcp_tso_rtt_log", _IP, "", 0, 31, "larger pieces to the device on short round trips (2^N us); 0: never"),
    ("tcp_tso_win_divisor", _IP, "", 0, 255, "part of the congestion window that one piece may be"),
    ("default_qdisc", _CORE, "", 0, 0, "fq: every connection leaves at its pacing rate"),
    ("tcp_pacing_ss_ratio", _IP, "%", 0, 1000, "pacing rate in slow start, of a window per round trip"),
    ("tcp_pacing_ca_ratio", _IP, "%", 0, 1000, "pacing rate in congestion avoidance"),
    ("tcp_invalid_ratelimit", _IP, "ms", 0, _MOST, "least time between answers to segments out of window"),
    ("tcp_challenge_ack_limit", _IP, "segments", 0, _MOST, "challenge ACKs of the host per second (RFC 5961)"),
    ("tcp_rfc1337", _IP, "", 0, 1, "resets do not end TIME-WAIT (RFC 1337)"),
    ("tcp_stdurg", _IP, "", 0, 1, "the urgent pointer names the last urgent byte (RFC 1122), not the one behind it"),
    ("tcp_tw_reuse", _IP, "", 0, 2, "use the ports of TIME-WAIT again: 1 always, 2 on loopback"),
    ("tcp_tw_reuse_delay", _IP, "ms", 1, 32768, "after how long in TIME-WAIT"),
    ("ip_autobind_reuse", _IP, "", 0, 1, "bind to port 0 may share a port under SO_REUSEADDR when all are taken"),
    ("tcp_max_tw_buckets", _IP, "connections", 0, _MOST, "connections in TIME-WAIT at most"),
    ("tcp_fastopen", _IP, "", 0, 0xFFFF, "bits: 1 client, 2 server, 4 and 0x200 without cookies, 0x400 all listeners"),
    ("tcp_fastopen_key", _IP, "", 0, 0, "one key or two, as a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4; empty: random"),
    ("tcp_fastopen_blackhole_timeout_sec", _IP, "s", 0, _MOST, "pause of Fast Open when its packets vanish"),
    ("tcp_mtu_probing", _IP, "", 0, 2, "search the path's MTU (RFC 4821): 1 when packets vanish, 2 always"),
    ("tcp_base_mss", _IP, "B", 48, 65535, "segment with which the search begins"),
    ("tcp_min_snd_mss", _IP, "B", 48, 65535, "least segment size that a peer can ask for"),
    ("tcp_mtu_probe_floor", _IP, "B", 48, 65535, "least segment of the search"),
    ("tcp_probe_threshold", _IP, "B", 0, 65535, "difference at which the search is over"),
    ("tcp_probe_interval", _IP, "s", 0, _MOST // 1000, "time until a search begins anew"),
    ("tcp_thin_linear_timeouts", _IP, "", 0, 1, "timeouts of connections with little in flight do not double"),
    ("tcp_comp_sack_nr", _IP, "segments", 0, 255, "ACKs that may be left out while data is missing"),
    ("tcp_comp_sack_delay_ns", _IP, "ns", 0, _MOST, "for how long at most"),
    ("tcp_comp_sack_rtt_percent", _IP, "%", 1, 1000, "for which part of a round trip at most"),
    ("tcp_pingpong_thresh", _IP, "", 1, 255, "answers after which a connection counts as interactive"),
    ("tcp_retrans_collapse", _IP, "", 0, 1, "send small segments together when they are sent again"),
    ("tcp_shrink_window", _IP, "", 0, 1, "take back a window when memory runs short"),
    ("tcp_truesize", "", "", 0, 1, "charge receive buffers for packets as Linux does, instead of for bytes"),
    ("tcp_max_orphans", _IP, "connections", 0, _MOST, "connections without a program at most"),
    ("ip_local_port_range", _IP, "", 1, 65535, "ports that are given out"),
    ("ip_no_pmtu_disc", _IP, "", 0, 3, "do not ask for the path's MTU on IPv4"),
    ("ip_forward", _IP, "", 0, 1, "route packets on, IPv6 too (routers do)"),
    ("ip_default_ttl", _IP, "", 1, 255, "hop limit of what the host sends"),
    ("ip_nonlocal_bind", _IP, "", 0, 1, "let sockets have addresses that the host has not"),
    ("ip_forward_use_pmtu", _IP, "", 0, 1, "routers keep to path MTUs that they have learnt"),
    ("min_pmtu", _ROUTE, "B", 68, 65535, "least path MTU that ICMP makes IPv4 believe"),
    ("mtu_expires", _ROUTE, "s", 1, _YEAR, "how long a path MTU is remembered"),
    ("ipfrag_high_thresh", _IP, "B", 0, 2**40, "bytes of fragments kept"),
    ("ipfrag_time", _IP, "s", 0, _YEAR, "how long fragments of IPv4 wait for the others"),
    ("ip6frag_time", "net.ipv6.", "s", 0, _YEAR, "how long fragments of IPv6 wait for the others"),
    ("icmp_echo_ignore_all", _IP, "", 0, 1, "do not answer pings"),
    ("icmp_echo_ignore_broadcasts", _IP, "", 0, 1, "do not answer pings to many"),
    ("icmp_ratelimit", _IP, "ms", 0, _MOST, "time between ICMP errors to one destination; 0: no limit"),
    ("icmp_msgs_per_sec", _IP, "packets", 0, _MOST, "ICMP errors of the host per second"),
    ("icmp_msgs_burst", _IP, "packets", 0, _MOST, "ICMP errors at once"),
    ("rmem_default", _CORE, "B", 256, _MOST, "receive buffer of a datagram socket"),
    ("rmem_max", _CORE, "B", 256, _MOST, "largest SO_RCVBUF"),
    ("wmem_default", _CORE, "B", 256, _MOST, "send buffer of a datagram socket"),
    ("wmem_max", _CORE, "B", 256, _MOST, "largest SO_SNDBUF"),
    ("optmem_max", _CORE, "B", 0, _MOST, "memory for the options of a socket"),
    ("igmp_max_memberships", _IP, "groups", 0, _MOST, "multicast groups of a socket"),
    ("igmp_max_msf", _IP, "sources", 0, _MOST, "sources in a multicast filter"),
    ("force_igmp_version", _CONF4, "", 0, 2, "0: IGMPv3 and MLDv2, 2: IGMPv2 and MLDv1"),
    ("neigh_gc_thresh3", _NEIGH, "neighbours", 1, _MOST, "entries of a neighbour table"),
    ("neigh_unres_qlen", _NEIGH, "packets", 0, _MOST, "packets that wait for one neighbour"),
    ("neigh_base_reachable_time_ms", _NEIGH, "ms", 1, _MOST, "how long a neighbour is believed to be there"),
    ("neigh_retrans_time_ms", _NEIGH, "ms", 1, _MOST, "time between questions for a neighbour"),
    ("neigh_delay_first_probe_time", _NEIGH, "s", 0, _YEAR, "time until a silent neighbour is asked"),
    ("neigh_ucast_solicit", _NEIGH, "packets", 0, _MOST, "questions to the neighbour itself"),
    ("neigh_mcast_solicit", _NEIGH, "packets", 0, _MOST, "questions to all for a neighbour"),
    ("neigh_gc_stale_time", _NEIGH, "s", 0, _YEAR, "how long an unused entry is kept"),
    ("accept_ra", _CONF6, "", 0, 2, "take IPv6 addresses and routes from routers; 2: also as a router"),
    ("accept_redirects", _CONF4, "", 0, 1, "take redirects, of both versions"),
    ("send_redirects", _CONF4, "", 0, 1, "routers send redirects, of both versions"),
    ("autoconf", _CONF6, "", 0, 1, "make IPv6 addresses from routers' prefixes (RFC 4862)"),
    ("dad_transmits", _CONF6, "packets", 0, 255, "questions whether an IPv6 address is in use"),
    ("router_solicitation_interval", _CONF6, "s", 1, _YEAR, "first time between questions for routers"),
    ("router_solicitation_max_interval", _CONF6, "s", 1, _YEAR, "largest time between questions for routers"),
    ("use_tempaddr", _CONF6, "", 0, 2, "prefer temporary IPv6 addresses: 2"),
    ("max_addresses", _CONF6, "addresses", 0, 65535, "IPv6 addresses of an interface that routers can cause"),
    ("accept_ra_min_hop_limit", _CONF6, "", 0, 255, "least hop limit that a router can set"),
    ("dhcp", "", "", 0, 1, "ask DHCP for an IPv4 address on an Ethernet (TAP) device without one"),
    ("dhcp6", "", "", 0, 2, "ask DHCPv6 as routers say: 1, for addresses whatever they say: 2"),
)


def _row(name: str, where: str, unit: str, low: int, high: int, meaning: str) -> Setting:
    kernel = where + name.removeprefix("neigh_") if where else ""
    return Setting(name, kernel, unit, low, high, meaning)


SETTINGS: Final[dict[str, Setting]] = {row[0]: _row(*row) for row in _ROWS}
"""All settings by name, in the order of `Settings`."""

_BY_KERNEL_NAME: Final[dict[str, Setting]] = {one.kernel: one for one in SETTINGS.values() if one.kernel}


def find(name: str) -> Setting | None:
    """The setting of this name, as `tcp_sack` or as sysctl(8) has it, `net.ipv4.tcp_sack` (or with slashes)."""
    return SETTINGS.get(name) or _BY_KERNEL_NAME.get(name.replace("/", "."))
