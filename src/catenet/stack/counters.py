"""Counters by the names of the MIBs (RFC 4293, 4113, Linux's `nstat`), one set per version of IP."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

__all__ = ["Counters", "IcmpCounters", "IpCounters", "UdpCounters"]


@dataclass(slots=True)
class IpCounters:
    """Of IP itself."""

    InReceives: int = 0
    InHdrErrors: int = 0
    InAddrErrors: int = 0
    InUnknownProtos: int = 0
    InDiscards: int = 0
    InNoRoutes: int = 0
    InDelivers: int = 0
    InMcastPkts: int = 0
    InBcastPkts: int = 0
    InCEPkts: int = 0
    OutRequests: int = 0
    OutDiscards: int = 0
    OutNoRoutes: int = 0
    OutMcastPkts: int = 0
    OutBcastPkts: int = 0
    OutTransmits: int = 0
    ForwDatagrams: int = 0
    ReasmReqds: int = 0
    ReasmOKs: int = 0
    ReasmFails: int = 0
    ReasmTimeout: int = 0
    ReasmOverlaps: int = 0
    FragOKs: int = 0
    FragFails: int = 0
    FragCreates: int = 0


@dataclass(slots=True)
class IcmpCounters:
    """Of ICMP."""

    InMsgs: int = 0
    InErrors: int = 0
    InCsumErrors: int = 0
    InDestUnreachs: int = 0
    InTimeExcds: int = 0
    InParmProbs: int = 0
    InPktTooBigs: int = 0
    InRedirects: int = 0
    InEchos: int = 0
    InEchoReps: int = 0
    OutMsgs: int = 0
    OutErrors: int = 0
    OutRateLimitHost: int = 0
    OutRateLimitGlobal: int = 0
    OutDestUnreachs: int = 0
    OutTimeExcds: int = 0
    OutParmProbs: int = 0
    OutPktTooBigs: int = 0
    OutRedirects: int = 0
    OutEchos: int = 0
    OutEchoReps: int = 0


@dataclass(slots=True)
class UdpCounters:
    """Of UDP, and of UDP-Lite."""

    InDatagrams: int = 0
    NoPorts: int = 0
    InErrors: int = 0
    OutDatagrams: int = 0
    RcvbufErrors: int = 0
    SndbufErrors: int = 0
    InCsumErrors: int = 0
    IgnoredMulti: int = 0


@dataclass(slots=True)
class Counters:
    """All counters of one version of IP."""

    ip: IpCounters = field(default_factory=IpCounters)
    icmp: IcmpCounters = field(default_factory=IcmpCounters)
    udp: UdpCounters = field(default_factory=UdpCounters)
    udp_lite: UdpCounters = field(default_factory=UdpCounters)

    def snapshot(self, version: int) -> dict[str, int]:
        """Values by their names in `nstat`, as "IpInReceives" and "Ip6InReceives"."""
        suffix = "" if version == 4 else "6"
        groups = (("Ip", self.ip), ("Icmp", self.icmp), ("Udp", self.udp), ("UdpLite", self.udp_lite))
        return {
            f"{name}{suffix}{each.name}": getattr(group, each.name) for name, group in groups for each in fields(group)
        }
