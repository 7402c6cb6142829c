"""catenet ss: the sockets of a running world, or of a stack behind a TUN device, as `ss -tin` shows a machine's."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from typing import Any, Final

from catenet.cli import UsageError
from catenet.printable import printable, say

__all__ = ["register", "run"]

HEAD: Final = ("Netid", "State", "Recv-Q", "Send-Q", "Local Address:Port", "Peer Address:Port", "Process")
LISTENING: Final = ("LISTEN", "UNCONN")
NO_ESTIMATE: Final = 0xFFFFFFFF
INFINITE: Final = 0x7FFFFFFF


def register(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments; letters are those of `ss`."""
    parser.epilog = "The world runs in another process of the same user: catenet run ... &"
    parser.add_argument("-t", "--tcp", action="store_true", help="TCP sockets")
    parser.add_argument("-u", "--udp", action="store_true", help="UDP sockets")
    parser.add_argument("-a", "--all", action="store_true", help="listening sockets too")
    parser.add_argument("-l", "--listening", action="store_true", help="listening sockets only")
    parser.add_argument("-i", "--info", action="store_true", help="figures of each connection")
    parser.add_argument("-o", "--options", action="store_true", help="timers")
    parser.add_argument("-n", "--numeric", action="store_true", help="numbers for names (always so)")
    parser.add_argument("--host", help="sockets of this host only")
    parser.add_argument("--pid", type=int, help="process in which the world runs, if there are several")
    parser.add_argument("--json", action="store_true", help="print JSON with all figures")


def run(args: argparse.Namespace) -> int:
    """Ask the world and print its sockets; return 0."""
    rows = [row for row in _ask(args.pid) if _is_wanted(row, args)]
    if args.json:
        print(json.dumps(rows, indent=2))
        return 0
    for number, host in enumerate(dict.fromkeys(row["host"] for row in rows)):
        if number:
            say("")
        say(f"{host}:")
        _print([row for row in rows if row["host"] == host], args)
    return 0


def _ask(pid: int | None) -> list[dict[str, Any]]:
    from catenet.world.observe.control import ask, running

    if pid is None:
        found = list(running())
        if not found:
            raise UsageError("no world and no stack of yours runs on this machine; start one with: catenet run")
        if len(found) > 1:
            raise UsageError(f"several run, in processes {', '.join(map(str, found))}; choose one with --pid")
        pid = found[0]
    try:
        rows: list[dict[str, Any]] = ask(pid, "sockets")
    except OSError as error:
        raise UsageError(f"no answer from process {pid}: {(error.strerror or str(error)).lower()}") from None
    return rows


def _is_wanted(row: dict[str, Any], args: argparse.Namespace) -> bool:
    if args.host and row["host"] != args.host:
        return False
    if (args.tcp or args.udp) and not (args.tcp if row["netid"] == "tcp" else args.udp):
        return False
    listens = row["state"] in LISTENING
    if args.listening:
        return listens
    return args.all or not listens


def _print(rows: list[dict[str, Any]], args: argparse.Namespace) -> None:
    table = [HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(HEAD))]
    for cells, row in zip(table, [None, *rows], strict=True):
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True))
        if row is not None and args.options and row["timer"]:
            kind, left, count = row["timer"]
            line += f" timer:({kind},{_span(left)},{count})"
        say(line.rstrip())
        if row is not None and args.info and row["info"]:
            say("\t " + " ".join(_figures(row["congestion"], row["info"])), keep="\t")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    queues = (str(row["recv_q"]), str(row["send_q"]))
    cells = (row["netid"], row["state"], *queues, row["local"], row["peer"], row["process"])
    return tuple(map(printable, cells))


def _span(seconds: float) -> str:
    return f"{seconds:.0f}sec" if seconds >= 10 else f"{seconds * 1000:.0f}ms"


def _figures(congestion: str, info: dict[str, int]) -> Iterable[str]:
    """The figures in the order and the writing of `ss -i`; those that are nought are left out, as there."""
    yield congestion
    yield from _features(info)
    yield f"rto:{info['rto'] / 1000:g}"
    if info["rtt"]:
        yield f"rtt:{info['rtt'] / 1000:g}/{info['rttvar'] / 1000:g}"
    yield f"ato:{info['ato'] / 1000:g}"
    for name, key in (("mss", "snd_mss"), ("pmtu", "pmtu"), ("rcvmss", "rcv_mss"), ("advmss", "advmss")):
        yield f"{name}:{info[key]}"
    yield f"cwnd:{info['snd_cwnd']}"
    if info["snd_ssthresh"] < INFINITE:
        yield f"ssthresh:{info['snd_ssthresh']}"
    for key in ("bytes_sent", "bytes_retrans", "bytes_acked", "bytes_received", "segs_out", "segs_in"):
        if info[key]:
            yield f"{key}:{info[key]}"
    for key in ("data_segs_out", "data_segs_in"):
        if info[key]:
            yield f"{key}:{info[key]}"
    if info["rtt"]:
        yield f"send {_rate(info['snd_mss'] * info['snd_cwnd'] * 8e6 / info['rtt'])}"
    for name, key in (("lastsnd", "last_data_sent"), ("lastrcv", "last_data_recv"), ("lastack", "last_ack_recv")):
        yield f"{name}:{info[key]}"
    for key in ("pacing_rate", "delivery_rate"):
        if info[key]:
            yield f"{key} {_rate(info[key] * 8)}"
    yield f"delivered:{info['delivered']}"
    if info["unacked"]:
        yield f"unacked:{info['unacked']}"
    if info["retrans"] or info["total_retrans"]:
        yield f"retrans:{info['retrans']}/{info['total_retrans']}"
    for key in ("lost", "sacked", "dsack_dups", "reord_seen", "rcv_ooopack"):
        if info[key]:
            yield f"{key}:{info[key]}"
    if info["rcv_rtt"]:
        yield f"rcv_rtt:{info['rcv_rtt'] / 1000:g}"
    yield f"rcv_space:{info['rcv_space']}"
    yield f"rcv_ssthresh:{info['rcv_ssthresh']}"
    if info["notsent_bytes"]:
        yield f"notsent:{info['notsent_bytes']}"
    if info["min_rtt"] != NO_ESTIMATE:
        yield f"minrtt:{info['min_rtt'] / 1000:g}"
    yield f"snd_wnd:{info['snd_wnd']}"


def _features(info: dict[str, int]) -> Iterable[str]:
    """Return what was negotiated: the bits of tcpi_options."""
    options = info["options"]
    for bit, word in ((1, "ts"), (2, "sack"), (8, "ecn"), (16, "ecnseen"), (32, "fastopen")):
        if options & bit:
            yield word
    if options & 4:
        yield f"wscale:{info['snd_wscale']},{info['rcv_wscale']}"


def _rate(bits: float) -> str:
    for unit, scale in (("Gbps", 1e9), ("Mbps", 1e6), ("Kbps", 1e3)):
        if bits >= scale:
            return f"{bits / scale:.3g}{unit}"
    return f"{bits:.0f}bps"
