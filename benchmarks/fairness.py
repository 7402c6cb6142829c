"""Congestion control against theory: response functions, fairness between flows, queues, BBR beside CUBIC."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.harness import Column, Contender, Report, Sample, Table, interleave
from benchmarks.lab import PORT, Lab, Path, PeriodicLoss, Sink, Source, plain
from catenet.stack.endpoint import ANY4, Name
from catenet.stack.settings import Settings

SEGMENT = 1448
RTT = 0.1
PERIODS = (100, 300, 1000, 3000, 10000)
CUBIC_C = 0.4
CUBIC_BETA = 0.7


def reno_window(loss: float) -> float:
    """Mean window in segments (RFC 9438 5.1, after RFC 3649): 1.2 / p^0.5."""
    return 1.2 / math.sqrt(loss)


def cubic_window(loss: float) -> float:
    """Mean window in segments (RFC 9438 5.1), which is never below Reno's (4.3)."""
    factor = math.sqrt(math.sqrt(CUBIC_C * (3 + CUBIC_BETA) / (4 * (1 - CUBIC_BETA))))
    return max(factor * math.pow(RTT / loss, 0.75), reno_window(loss))


def cubic_model(loss: float) -> float:
    """Mean window when RFC 9438's rules are run through round trip by round trip, between losses evenly spaced.

    The formula takes the larger of the means of the two regions; a sender takes the larger window at every moment,
    which is more where the regions meet.
    """
    additive = 3 * (1 - CUBIC_BETA) / (1 + CUBIC_BETA)
    window = cubic_window(loss)
    for _ in range(200):
        largest, window, estimate, clock, sent = window, window * CUBIC_BETA, window * CUBIC_BETA, 0.0, 0.0
        k = (largest * (1 - CUBIC_BETA) / CUBIC_C) ** (1 / 3)
        while sent < 1 / loss:
            sent += window
            clock += RTT
            estimate += additive if estimate < largest else 1.0
            target = CUBIC_C * (clock + RTT - k) ** 3 + largest
            window = max(estimate, window + min(max(target - window, 0.0), window / 2))
    return sent / (clock / RTT)


MODELS: dict[str, Callable[[float], float]] = {"reno": reno_window, "cubic": cubic_model}
FORMULAS: dict[str, Callable[[float], float]] = {"reno": reno_window, "cubic": cubic_window}


def first_loss(algorithm: str, period: int) -> int:
    """Which packet is lost first, so that slow start ends where the formula's epochs do.

    Slow start sends ten packets and one more for each that is acknowledged. The formulas' sawtooth goes
    from the window at a loss down to beta times it.
    """
    beta = CUBIC_BETA if algorithm == "cubic" else 0.5
    swing = (3 + beta) / 4 if algorithm == "cubic" else (1 + beta) / 2
    return max(int(FORMULAS[algorithm](1 / period) / swing) - 10, 1)


def response(algorithm: str, period: int, epochs: int) -> Sample:
    """Mean window of one flow that loses every `period`-th segment, over `epochs` losses.

    Half a dozen losses come first. They begin where the formula's epochs end (`first_loss`): near W_max CUBIC's curve
    is flat, so that it takes hundreds of losses to come down from a window too large.
    """
    path = PeriodicLoss(plain(RTT / 2), period, first_loss(algorithm, period))
    lab = Lab(path, plain(RTT / 2), settings=lambda: Settings(tcp_cubic_rfc9438=1))
    sink = Sink(lab, lab.right)
    source = Source(lab, lab.left, algorithm)
    lab.run(0.5)
    predicted = FORMULAS[algorithm](1 / period)
    epoch = period / predicted * RTT
    lab.run(0.5 + epoch * 6)
    before, begun = sink.taken[source.port], lab.hub.now
    lab.run(begun + epoch * epochs)
    window = (sink.taken[source.port] - before) / SEGMENT / (lab.hub.now - begun) * RTT
    model = MODELS[algorithm](1 / period)
    return {
        "window": window,
        "formula": predicted,
        "off": (window / predicted - 1) * 100,
        "model": model,
        "model_off": (window / model - 1) * 100,
    }


def response_tables(epochs: int) -> list[Table]:
    columns = [
        Column("formula", "formula, segments", 1),
        Column("window", "measured, segments", 1),
        Column("off", "off by, %", 1),
        Column("model", "rules run through, segments", 1),
        Column("model_off", "off by, %", 1),
    ]
    note = (
        f"One flow, round trip {RTT * 1000:.0f} ms, no queue; every n-th segment with data is lost, the loss model of "
        "the formulas (RFC 9438 5.1). `Rules run through` are those of RFC 9438 in real numbers: the formula takes the "
        "larger mean of CUBIC's two regions, a sender the larger window at every moment. Neither knows of the round "
        "trip that each recovery takes, nor that windows are whole segments: small windows lack both. CUBIC is that of "
        "RFC 9438 (`tcp_cubic_rfc9438 = 1`)."
    )
    return [
        Table(
            f"{algorithm.upper() if algorithm == 'cubic' else algorithm.title()}: mean window by loss rate",
            columns,
            [Contender(f"1 of {period:,}", partial(response, algorithm, period, epochs)) for period in PERIODS],
            note,
            "loss",
        )
        for algorithm in FORMULAS
    ]


def jain(shares: Sequence[float]) -> float:
    """Jain's index: 1 when all have the same, 1/n when one has all."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def goodputs(lab: Lab, sink: Sink, sources: Sequence[Source], settle: float, seconds: float) -> list[float]:
    """Bits per second of each flow after `settle` seconds."""
    lab.run(settle)
    before = dict(sink.taken)
    lab.run(settle + seconds)
    return [(sink.taken.get(flow.port, 0) - before.get(flow.port, 0)) * 8 / seconds for flow in sources]


def sharing(algorithm: str, flows: int, rate: float, discipline: str, seconds: float) -> Sample:
    """Flows that start 100 ms apart and share a link of 20 ms and one bandwidth-delay product of queue."""
    queue = max(20, int(rate * 0.02 / 8 / 1500))
    lab = Lab(plain(0.01, rate, discipline=discipline, packets=queue), plain(0.01))
    sink = Sink(lab, lab.right)
    sources = []
    for _ in range(flows):
        sources.append(Source(lab, lab.left, algorithm))
        lab.run(lab.hub.now + 0.1)
    shares = goodputs(lab, sink, sources, lab.hub.now + seconds / 3, seconds)
    return {
        "jain": jain(shares),
        "used": sum(shares) / (rate * SEGMENT / 1500) * 100,
        "least": min(shares) / (sum(shares) / flows),
        "most": max(shares) / (sum(shares) / flows),
    }


def sharing_table(seconds: float) -> Table:
    columns = [
        Column("jain", "Jain's index", 3),
        Column("used", "link used, %", 1),
        Column("least", "least share / fair", 2),
        Column("most", "greatest share / fair", 2),
    ]
    rows = [
        Contender(
            f"{flows} {algorithm} flows, {rate / 1e6:g} Mbit/s, {discipline}",
            partial(sharing, algorithm, flows, rate, discipline, seconds),
        )
        for algorithm in ("reno", "cubic", "bbr")
        for flows, rate in ((2, 20e6), (10, 50e6), (100, 50e6))
        for discipline in ("droptail", "fq_codel")
    ]
    note = (
        "Round trip 20 ms, queue of one bandwidth-delay product. 100 % is what headers leave of the link's rate. For "
        "100 flows that queue has 83 packets, less than one each: one flow or other then waits out its timeouts."
    )
    return Table("Flows that share a link", columns, rows, note, "flows")


def bloat(discipline: str, seconds: float) -> Sample:
    """Four CUBIC flows fill a link of 20 Mbit/s with room for 1,000 packets; beside them one datagram every 20 ms."""
    lab = Lab(plain(0.02, 20e6, discipline=discipline, packets=1000), plain(0.02))
    sink = Sink(lab, lab.right)
    sources = [Source(lab, lab.left) for _ in range(4)]
    receiver, sender = lab.right.stack.udp_endpoint(4), lab.left.stack.udp_endpoint(4)
    receiver.bind(Name(ANY4, PORT))
    sender.connect(Name(lab.right.address, PORT))
    delays: list[float] = []

    def probe() -> None:
        sender.send_to(f"{lab.hub.now}".encode(), None, None)
        lab.hub.call_later(0.02, probe)

    def take() -> None:
        while (datagram := receiver.receive_from()) is not None:
            delays.append(lab.hub.now - float(bytes(datagram.data)))

    receiver.on_ready = lambda: lab.hub.call_soon(take)
    lab.hub.call_at(5.0, probe)
    shares = goodputs(lab, sink, sources, 5.0, seconds)
    delays.sort()
    return {
        "median": statistics.median(delays) * 1000,
        "p95": delays[len(delays) * 95 // 100] * 1000,
        "lost": 100 - len(delays) / (seconds / 0.02) * 100,
        "used": sum(shares) / (20e6 * SEGMENT / 1500) * 100,
    }


def bloat_table(seconds: float) -> Table:
    columns = [
        Column("median", "delay, median ms", 1),
        Column("p95", "delay, 95th percentile ms", 1),
        Column("lost", "datagrams lost, %", 1),
        Column("used", "link used, %", 1),
    ]
    rows = [Contender(name, partial(bloat, name, seconds)) for name in ("droptail", "codel", "fq_codel")]
    note = (
        "Four CUBIC flows, 20 Mbit/s, 20 ms each way; the delay is a small UDP flow's, one way, 20 ms of it the path."
    )
    return Table("Bufferbloat: a small flow beside large ones", columns, rows, note, "queue of 1,000 packets")


class RandomLoss:
    """A path that loses each packet with data by chance, whoever sent it."""

    def __init__(self, path: Path, loss: float) -> None:
        self.path = path
        self.loss = loss
        self.random = random.Random(2)

    def offer(self, packet: bytes, now: float, schedule: Callable[..., Any], onward: Callable[..., Any]) -> None:
        """Pass a packet on, or lose it."""
        if len(packet) > 200 and self.random.random() < self.loss:
            return
        self.path.offer(packet, now, schedule, onward)


def lossy(loss: float, seconds: float) -> Sample:
    """One flow of each algorithm by itself on a link that loses packets by chance."""
    shares: Sample = {}
    for algorithm in ("reno", "cubic", "bbr"):
        lab = Lab(RandomLoss(plain(0.02, 20e6, packets=67), loss), plain(0.02))
        sink = Sink(lab, lab.right)
        (rate,) = goodputs(lab, sink, [Source(lab, lab.left, algorithm)], 4.0, seconds)
        shares[algorithm] = rate / (20e6 * SEGMENT / 1500) * 100
    return shares


def lossy_table(seconds: float) -> Table:
    columns = [Column("reno", "Reno, %", 1), Column("cubic", "CUBIC, %", 1), Column("bbr", "BBR, %", 1)]
    rows = [Contender(f"{loss:.1%}", partial(lossy, loss, seconds)) for loss in (0.0, 0.001, 0.005, 0.01, 0.02, 0.03)]
    note = "One flow at a time, queue of one bandwidth-delay product. BBR tolerates two per cent of loss by design."
    return Table("Random loss: how much of 20 Mbit/s is used, round trip 40 ms", columns, rows, note, "loss")


def rivals(products: float, seconds: float) -> Sample:
    """One BBR and one CUBIC flow on one link with a queue of so many bandwidth-delay products."""
    rate = 20e6
    queue = max(4, int(rate * 0.04 * products / 8 / 1500))
    lab = Lab(plain(0.02, rate, packets=queue), plain(0.02))
    sink = Sink(lab, lab.right)
    sources = [Source(lab, lab.left, "bbr"), Source(lab, lab.left, "cubic")]
    bbr, cubic = goodputs(lab, sink, sources, seconds / 3, seconds)
    return {"bbr": bbr / 1e6, "cubic": cubic / 1e6, "used": (bbr + cubic) / (rate * SEGMENT / 1500) * 100}


def rivals_table(seconds: float) -> Table:
    columns = [
        Column("bbr", "BBR, Mbit/s", 2),
        Column("cubic", "CUBIC, Mbit/s", 2),
        Column("used", "link used, %", 1),
    ]
    rows = [
        Contender(f"{products:g} bandwidth-delay products", partial(rivals, products, seconds))
        for products in (0.5, 1, 2, 4, 8)
    ]
    return Table("BBR beside CUBIC, 20 Mbit/s, round trip 40 ms, drop-tail", columns, rows, "", "queue")


def run(quick: bool, repetitions: int | None, only: str | None) -> Report:
    """Run every table once: the simulations are deterministic."""
    seconds = 5.0 if quick else 12.0
    tables = [
        *response_tables(5 if quick else 8),
        sharing_table(seconds),
        bloat_table(seconds),
        lossy_table(seconds),
        rivals_table(2 * seconds),
    ]
    for table in tables:
        table.contenders = [row for row in table.contenders if not only or only.lower() in row.name.lower()]
        interleave(table.contenders, 1)
    summary = "Simulated; nothing here depends on the machine's speed, and a second run gives the same figures."
    return Report("fairness", summary, tables, {}, 1)
