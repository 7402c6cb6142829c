"""Names of constants that scripts use, with Linux's numbers on every platform.

Error numbers are not here: scripts name them and the runner compares names, so that no platform's numbers matter.
"""

from __future__ import annotations

from typing import Final

from catenet.testing.packetdrill.syntax import Expression, Integer, Or, Quoted, Word

__all__ = ["SYMBOLS", "TCP_INFO_SYMBOLS", "evaluate", "names_of"]


def _numbered(prefix: str, names: str) -> dict[str, int]:
    """`_numbered("SO_", "DEBUG=1 REUSEADDR=2")`: names with a common prefix."""
    pairs = (item.partition("=") for item in names.split())
    return {prefix + name: int(value, 0) for name, _, value in pairs}


SYMBOLS: Final[dict[str, int]] = {
    "NULL": 0,
    "SOCK_NONBLOCK": 0o4000,
    "SOCK_CLOEXEC": 0o2000000,
    "FIONREAD": 0x541B,
    "FIONBIO": 0x5421,
    "SIOCINQ": 0x541B,
    "SIOCOUTQ": 0x5411,
    "SIOCOUTQNSD": 0x894B,
    "SIOCATMARK": 0x8905,
    "TCP_CM_INQ": 36,
    "MSG_ZEROCOPY": 0x4000000,
    "EPOLLET": 1 << 31,
    "EPOLLONESHOT": 1 << 30,
    "EPOLLWAKEUP": 1 << 29,
    "EPOLLEXCLUSIVE": 1 << 28,
    "SPLICE_F_MOVE": 1,
    "SPLICE_F_NONBLOCK": 2,
    "SPLICE_F_MORE": 4,
    **_numbered("AF_", "UNSPEC=0 UNIX=1 INET=2 INET6=10"),
    **_numbered("PF_", "UNSPEC=0 UNIX=1 INET=2 INET6=10"),
    **_numbered("SOCK_", "STREAM=1 DGRAM=2 RAW=3 SEQPACKET=5"),
    **_numbered("IPPROTO_", "IP=0 ICMP=1 TCP=6 UDP=17 IPV6=41 ICMPV6=58 UDPLITE=136 RAW=255 MPTCP=262"),
    **_numbered("SOL_", "IP=0 SOCKET=1 TCP=6 UDP=17 IPV6=41 ICMPV6=58 RAW=255"),
    **_numbered("SHUT_", "RD=0 WR=1 RDWR=2"),
    **_numbered(
        "O_", "RDONLY=0 WRONLY=1 RDWR=2 CREAT=0o100 TRUNC=0o1000 APPEND=0o2000 NONBLOCK=0o4000 CLOEXEC=0o2000000"
    ),
    **_numbered("F_", "DUPFD=0 GETFD=1 SETFD=2 GETFL=3 SETFL=4"),
    **_numbered("FD_", "CLOEXEC=1"),
    **_numbered(
        "MSG_",
        "OOB=1 PEEK=2 DONTROUTE=4 CTRUNC=8 PROBE=0x10 TRUNC=0x20 DONTWAIT=0x40 EOR=0x80 WAITALL=0x100 FIN=0x200"
        " SYN=0x400 CONFIRM=0x800 RST=0x1000 ERRQUEUE=0x2000 NOSIGNAL=0x4000 MORE=0x8000 WAITFORONE=0x10000"
        " SPLICE_PAGES=0x8000000 FASTOPEN=0x20000000 CMSG_CLOEXEC=0x40000000",
    ),
    **_numbered(
        "SO_",
        "DEBUG=1 REUSEADDR=2 TYPE=3 ERROR=4 DONTROUTE=5 BROADCAST=6 SNDBUF=7 RCVBUF=8 KEEPALIVE=9 OOBINLINE=10"
        " NO_CHECK=11 PRIORITY=12 LINGER=13 BSDCOMPAT=14 REUSEPORT=15 PASSCRED=16 PEERCRED=17 RCVLOWAT=18"
        " SNDLOWAT=19 RCVTIMEO=20 SNDTIMEO=21 BINDTODEVICE=25 PEERNAME=28 TIMESTAMP=29 ACCEPTCONN=30"
        " SNDBUFFORCE=32 RCVBUFFORCE=33 TIMESTAMPNS=35 MARK=36 TIMESTAMPING=37 PROTOCOL=38 DOMAIN=39 RXQ_OVFL=40"
        " PEEK_OFF=42 BUSY_POLL=46 MAX_PACING_RATE=47 INCOMING_CPU=49 MEMINFO=55 COOKIE=57 ZEROCOPY=60 TXTIME=61",
    ),
    **_numbered("SCM_", "RIGHTS=1 TIMESTAMP=29 TIMESTAMPNS=35 TIMESTAMPING=37"),
    **_numbered("SCM_TSTAMP_", "SND=0 SCHED=1 ACK=2"),
    **_numbered(
        "SOF_TIMESTAMPING_",
        "TX_HARDWARE=1 TX_SOFTWARE=2 RX_HARDWARE=4 RX_SOFTWARE=8 SOFTWARE=0x10 SYS_HARDWARE=0x20 RAW_HARDWARE=0x40"
        " OPT_ID=0x80 TX_SCHED=0x100 TX_ACK=0x200 OPT_CMSG=0x400 OPT_TSONLY=0x800 OPT_STATS=0x1000"
        " OPT_PKTINFO=0x2000 OPT_TX_SWHW=0x4000 BIND_PHC=0x8000 OPT_ID_TCP=0x10000",
    ),
    **_numbered("SO_EE_ORIGIN_", "NONE=0 LOCAL=1 ICMP=2 ICMP6=3 TIMESTAMPING=4 ZEROCOPY=5"),
    **_numbered("SO_EE_CODE_", "ZEROCOPY_COPIED=1"),
    **_numbered(
        "TCP_",
        "NODELAY=1 MAXSEG=2 CORK=3 KEEPIDLE=4 KEEPINTVL=5 KEEPCNT=6 SYNCNT=7 LINGER2=8 DEFER_ACCEPT=9 WINDOW_CLAMP=10"
        " INFO=11 QUICKACK=12 CONGESTION=13 MD5SIG=14 THIN_LINEAR_TIMEOUTS=16 THIN_DUPACK=17 USER_TIMEOUT=18 REPAIR=19"
        " FASTOPEN=23 TIMESTAMP=24 NOTSENT_LOWAT=25 CC_INFO=26 SAVE_SYN=27 SAVED_SYN=28 FASTOPEN_CONNECT=30 ULP=31"
        " MD5SIG_EXT=32 FASTOPEN_KEY=33 FASTOPEN_NO_COOKIE=34 ZEROCOPY_RECEIVE=35 INQ=36 TX_DELAY=37 RTO_MAX_MS=44"
        " RTO_MIN_US=45 DELACK_MAX_US=46",
    ),
    **_numbered(
        "IP_",
        "TOS=1 TTL=2 HDRINCL=3 OPTIONS=4 RECVOPTS=6 RETOPTS=7 PKTINFO=8 MTU_DISCOVER=10 RECVERR=11 RECVTTL=12"
        " RECVTOS=13 MTU=14 FREEBIND=15 TRANSPARENT=19 MINTTL=21 NODEFRAG=22 BIND_ADDRESS_NO_PORT=24 MULTICAST_IF=32"
        " MULTICAST_TTL=33 MULTICAST_LOOP=34 ADD_MEMBERSHIP=35 DROP_MEMBERSHIP=36 PMTUDISC_DONT=0 PMTUDISC_WANT=1"
        " PMTUDISC_DO=2 PMTUDISC_PROBE=3 PMTUDISC_INTERFACE=4 PMTUDISC_OMIT=5 LOCAL_PORT_RANGE=51",
    ),
    **_numbered(
        "IPV6_",
        "UNICAST_HOPS=16 MULTICAST_IF=17 MULTICAST_HOPS=18 MULTICAST_LOOP=19 MTU_DISCOVER=23 MTU=24 RECVERR=25"
        " V6ONLY=26 FLOWLABEL_MGR=32 RECVPKTINFO=49 PKTINFO=50 RECVHOPLIMIT=51 HOPLIMIT=52 RECVTCLASS=66 TCLASS=67"
        " AUTOFLOWLABEL=70 FREEBIND=78 PMTUDISC_DONT=0 PMTUDISC_WANT=1 PMTUDISC_DO=2 PMTUDISC_PROBE=3",
    ),
    **_numbered("UDP_", "CORK=1 SEGMENT=103 GRO=104"),
    **_numbered(
        "POLL",
        "IN=1 PRI=2 OUT=4 ERR=8 HUP=0x10 NVAL=0x20 RDNORM=0x40 RDBAND=0x80 WRNORM=0x100 WRBAND=0x200 RDHUP=0x2000",
    ),
    **_numbered(
        "EPOLL",
        "IN=1 PRI=2 OUT=4 ERR=8 HUP=0x10 RDNORM=0x40 RDBAND=0x80 WRNORM=0x100 WRBAND=0x200 MSG=0x400 RDHUP=0x2000",
    ),
    **_numbered("EPOLL_CTL_", "ADD=1 DEL=2 MOD=3"),
}
"""Constants of system calls, by name."""

TCP_INFO_SYMBOLS: Final = {
    **_numbered(
        "TCP_",
        "ESTABLISHED=1 SYN_SENT=2 SYN_RECV=3 FIN_WAIT1=4 FIN_WAIT2=5 TIME_WAIT=6 CLOSE=7 CLOSE_WAIT=8 LAST_ACK=9"
        " LISTEN=10 CLOSING=11 CA_Open=0 CA_Disorder=1 CA_CWR=2 CA_Recovery=3 CA_Loss=4",
    ),
    **_numbered("TCPI_OPT_", "TIMESTAMPS=1 SACK=2 WSCALE=4 ECN=8 ECN_SEEN=16 SYN_DATA=32 USEC_TS=64 TFO_CHILD=128"),
}
"""Constants that code blocks may use beside the `tcpi_` values."""


def evaluate(expression: Expression) -> int:
    """Number that an expression stands for.

    Raises:
        ValueError: an unknown name, or no number at all.
    """
    match expression:
        case Integer(value):
            return value
        case Word(name):
            if name not in SYMBOLS:
                raise ValueError(f"unknown constant {name}")
            return SYMBOLS[name]
        case Or(left, right):
            return evaluate(left) | evaluate(right)
        case Quoted():
            raise ValueError("expected a number, got a string")
        case _:
            raise ValueError("expected a number")


def names_of(mask: int, prefix: str) -> str:
    """Bits of a mask by their names that start with `prefix`, for messages: `POLLIN|POLLOUT`."""
    names = []
    for name, bit in SYMBOLS.items():
        if name.startswith(prefix) and "_" not in name[len(prefix) :] and bit and mask & bit == bit:
            names.append(name)
            mask &= ~bit
    if mask or not names:
        names.append(hex(mask))
    return "|".join(names)
