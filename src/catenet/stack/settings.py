"""What an administrator may change in a host's stack, by the names Linux gives it under `net.ipv4` and `net.ipv6`.

One table for both versions of IP: where Linux has the same switch twice, `net.ipv4`'s name stands for both, and only
what exists for one version carries that one's name. Units are Linux's: seconds, milliseconds or bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

from catenet.stack.tcp.settings import TcpSettings

__all__ = ["Settings"]


@dataclass
class Settings(TcpSettings):
    """Settings of one host, read whenever they matter, so that a change holds from the next packet on."""

    ip_forward: int = 0
    """Whether packets for others are routed on, in both versions."""
    ip_default_ttl: int = 64
    ip_nonlocal_bind: int = 0
    ip_forward_use_pmtu: int = 0
    min_pmtu: int = 552
    """Least path MTU that an ICMP message makes IPv4 believe; below it packets are sent without DF."""
    mtu_expires: int = 600
    """Seconds after which a path MTU is forgotten (RFC 1191 6.3 says not under 5 minutes after a decrease)."""

    ipfrag_high_thresh: int = 4 * 1024 * 1024
    """Bytes of fragments kept; beyond, the oldest packets are given up."""
    ipfrag_time: float = 30.0
    ip6frag_time: float = 60.0

    icmp_echo_ignore_all: int = 0
    icmp_echo_ignore_broadcasts: int = 1
    icmp_ratelimit: int = 1000
    """Milliseconds per error message to one destination, after a burst of six; 0: no limit."""
    icmp_msgs_per_sec: int = 1000
    icmp_msgs_burst: int = 50

    rmem_default: int = 212992
    rmem_max: int = 212992
    wmem_default: int = 212992
    wmem_max: int = 212992
    optmem_max: int = 131072

    igmp_max_memberships: int = 20
    igmp_max_msf: int = 10
    force_igmp_version: int = 0
    """0: version 3 and what queriers ask for; 2: IGMPv2 and MLDv1 only."""

    neigh_gc_thresh3: int = 1024
    """Entries of a neighbour table."""
    neigh_unres_qlen: int = 101
    """Packets that wait for one neighbour."""
    neigh_base_reachable_time_ms: int = 30_000
    neigh_retrans_time_ms: int = 1000
    neigh_delay_first_probe_time: int = 5
    neigh_ucast_solicit: int = 3
    neigh_mcast_solicit: int = 3
    neigh_gc_stale_time: int = 60

    accept_ra: int = 1
    accept_redirects: int = 1
    """Whether a host that does not forward takes them, in both versions."""
    send_redirects: int = 1
    """Whether a host that forwards sends them."""
    autoconf: int = 1
    dad_transmits: int = 1
    router_solicitation_interval: float = 4.0
    router_solicitation_max_interval: float = 3600.0
    use_tempaddr: int = 0
    max_addresses: int = 16
    accept_ra_min_hop_limit: int = 1
    dhcp: int = 1
    """Whether an Ethernet interface told to configure itself asks DHCP for an IPv4 address."""
    dhcp6: int = 1
    """Whether it asks DHCPv6: 0 never, 1 as routers say (their flags M and O), 2 for addresses, whatever they say."""
