"""Plots of connections, one file each; needs matplotlib."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catenet.world.observe.series import ConnectionEnd, Sample, TimeSeries
    from catenet.world.world import World

__all__ = ["plot_connections"]


def plot_connections(world: World, series: TimeSeries, folder: Path) -> list[Path]:
    """Write a picture per connection to `folder`, a column per end that sent data; return the files.

    Raises ImportError when matplotlib is missing, OSError when a file cannot be written.
    """
    # OpenBLAS starts threads when numpy is loaded, which this process may not (`enclosure/namespaces.py`).
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import matplotlib

    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, ends in enumerate(series.connections(), 1):
        names = "-".join(dict.fromkeys([ends[0].host, _host_of(world, ends[0].peer)]))
        path = folder / f"{number:03}-{names}-{ends[0].peer[1]}.png"
        _plot(world, ends, path)
        written.append(path)
    return written


def _plot(world: World, ends: list[ConnectionEnd], path: Path) -> None:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        3, len(ends), figsize=(7.5 * len(ends), 9), sharex="col", squeeze=False, layout="constrained"
    )
    for column, end in enumerate(ends):
        samples = end.all_samples()
        times = [sample.time for sample in samples]
        axes[0][column].set_title(_title(world, end, samples), fontsize="medium", pad=24)
        _plot_windows(axes[0][column], samples, times)
        _plot_round_trips(axes[1][column], samples, times)
        _plot_progress(axes[2][column], samples, times)
        axes[2][column].set_xlabel("time of the world [s]")
    for axis in axes.flat:
        axis.grid(True, alpha=0.3)
        axis.set_ylim(bottom=0)
        # Above its panel, where no curve can be.
        axis.legend(loc="lower left", bbox_to_anchor=(0, 0.99), ncols=4, fontsize="small", frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _title(world: World, end: ConnectionEnd, samples: list[Sample]) -> str:
    """Who sent to whom, and what came of it."""
    seconds = samples[-1].time - samples[0].time
    rate = f", {samples[-1].acked * 8 / seconds / 1e6:.3g} Mbit/s" if seconds > 0 else ""
    names = f"{end.host}:{end.local[1]} → {_host_of(world, end.peer)}:{end.peer[1]}"
    sums = f"{samples[-1].acked:,} bytes in {seconds:.3f} s{rate}"
    again = f"{samples[-1].retransmitted} segments retransmitted"
    return f"{names}  ({end.congestion})\n{sums}, {again}"


def _plot_windows(axis: Any, samples: list[Sample], times: list[float]) -> None:
    axis.step(times, [sample.cwnd / 1000 for sample in samples], where="post", label="congestion window")
    axis.plot(times, [sample.in_flight / 1000 for sample in samples], lw=0.8, label="in flight")
    known = [(sample.time, sample.ssthresh / 1000) for sample in samples if sample.ssthresh is not None]
    if known:
        axis.step(*zip(*known, strict=True), where="post", ls="--", lw=0.9, label="slow-start threshold")
    again = _retransmissions(samples)
    if again:
        axis.plot(
            [each.time for each in again],
            [each.cwnd / 1000 for each in again],
            "rx",
            ms=5,
            label="retransmission",
        )
    axis.set_ylabel("windows [kB]")


def _plot_round_trips(axis: Any, samples: list[Sample], times: list[float]) -> None:
    axis.plot(times, [sample.rtt * 1000 for sample in samples], label="smoothed round trip")
    axis.step(times, [sample.rto * 1000 for sample in samples], where="post", ls=":", label="retransmission timeout")
    axis.set_ylabel("time [ms]")


def _plot_progress(axis: Any, samples: list[Sample], times: list[float]) -> None:
    axis.plot(times, [sample.acked / 1000 for sample in samples], label="acknowledged")
    again = _retransmissions(samples)
    count = samples[-1].retransmitted
    if again:
        marks = [sample.acked / 1000 for sample in again]
        axis.plot([sample.time for sample in again], marks, "rx", ms=5, label=f"retransmissions ({count})")
    axis.set_ylabel("acknowledged [kB]")


def _retransmissions(samples: list[Sample]) -> list[Sample]:
    """Samples at which more had been retransmitted than at the one before."""
    return [new for old, new in itertools.pairwise(samples) if new.retransmitted > old.retransmitted]


def _host_of(world: World, name: tuple[str, int]) -> str:
    """Host of the world that has an address, or the address."""
    from catenet.wire.address import parse_address

    address = parse_address(name[0])
    return next((host for host in world.hosts if address in world.addresses(host)), name[0].replace(":", "."))
