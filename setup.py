"""Compile the hot modules by mypyc, from the same source, if asked to.

`CATENET_COMPILE=1 pip install .`

Needs a C compiler; `build_backend.py` brings mypy. Without the variable nothing is compiled, and
everything works the same, more slowly (docs/benchmarks.md). CATENET_COMPILE_LEVEL is gcc's optimisation
(1: measured as fast as 2 and 3). There is a C file per module, as one for all takes more than twice as long.
"""

import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext

SOURCE = Path("src")
HOT = (
    "catenet/wire",
    "catenet/control",
    "catenet/stack",
    "catenet/posix",
    "catenet/http/h1",
    "catenet/http/h2",
    "catenet/codec",
    "catenet/dns/server/fast",
)
SINGLE = (
    "catenet/http/driver.py",
    "catenet/http/errors.py",
    "catenet/http/events.py",
    "catenet/http/fields.py",
    "catenet/http/limits.py",
    "catenet/http/message.py",
    "catenet/http/producer.py",
    "catenet/http/server/asgi.py",
    "catenet/http/server/connection.py",
    "catenet/http/server/exchange.py",
    "catenet/http/server/heads.py",
    "catenet/http/server/response.py",
    "catenet/http/server/service.py",
    "catenet/http/server/tunnel.py",
    "catenet/http/server/websocket.py",
    "catenet/http/serving.py",
    "catenet/http/stream.py",
    "catenet/http/target.py",
    "catenet/http/websocket/assembly.py",
    "catenet/http/websocket/connection.py",
    "catenet/http/websocket/frames.py",
    "catenet/http/websocket/keepalive.py",
    "catenet/link/crossing.py",
    "catenet/link/device.py",
    "catenet/link/pipe.py",
    "catenet/link/properties.py",
    "catenet/link/queues.py",
    "catenet/link/shaped.py",
    "catenet/link/simulated.py",
    "catenet/link/tun.py",
    "catenet/link/vnet.py",
    "catenet/world/engine/context.py",
    "catenet/world/engine/host.py",
    "catenet/world/engine/host_runtime.py",
    "catenet/world/engine/hub.py",
    "catenet/world/engine/realtime.py",
    "catenet/world/network/links.py",
    "catenet/world/patches/monotonic.py",
    "catenet/world/patches/process_globals.py",
    "catenet/world/engine/task.py",
    "catenet/world/patches/threadstate.py",
    "catenet/world/network/trace.py",
    "catenet/world/engine/tun_port.py",
    "catenet/net/deadlines.py",
    "catenet/net/driver.py",
    "catenet/net/eager_task.py",
    "catenet/net/turns.py",
    "catenet/rpc/protocols/connect.py",
    "catenet/rpc/protocols/connect_json.py",
    "catenet/rpc/protocols/framing.py",
    "catenet/rpc/protocols/grpc.py",
    "catenet/rpc/protocols/grpc_web.py",
    "catenet/rpc/model/metadata.py",
    "catenet/rpc/protocols/protocol.py",
    "catenet/rpc/protocols/registry.py",
    "catenet/testing/packetdrill/calls/zeros.py",
    "catenet/tftp/receiver.py",
    "catenet/tftp/sender.py",
    "catenet/tftp/timing.py",
)
# Classes derived from bytes, tuples, exceptions or the interpreter's sockets, which mypyc cannot make; what looks into
# classes; what only Ethernet needs. What derives from a compiled class has to be compiled with it.
LEFT_OUT = (
    "catenet/codec/packed.py",
    "catenet/codec/schema.py",
    "catenet/codec/schema_fields.py",
    "catenet/wire/gso.py",
    "catenet/stack/ethernet/advertiser.py",
    "catenet/stack/ethernet/autoconf.py",
    "catenet/stack/endpoint.py",
    "catenet/stack/configuration.py",
    "catenet/stack/sysctl.py",
    "catenet/stack/ethernet/ethernet.py",
    "catenet/stack/ethernet/lifetimes.py",
    "catenet/stack/ethernet/port.py",
    "catenet/stack/tcp/parking/encoding.py",
    "catenet/stack/tcp/parking/fields.py",
    "catenet/stack/tcp/parking/generate.py",
    "catenet/posix/errors.py",
    "catenet/posix/ifreq.py",
    "catenet/posix/pysocket.py",
    "catenet/posix/tcp_info.py",
)
LEFT_OUT_FOLDERS = ("catenet/codec/graph", "catenet/stack/dhcp")


def hot_modules() -> list[str]:
    """Paths of the modules that a packet meets; all in one group, so that they call each other directly."""
    found = [path for folder in HOT for path in sorted((SOURCE / folder).rglob("*.py")) if path.name != "__init__.py"]
    found += [SOURCE / name for name in SINGLE]
    left_out = {SOURCE / name for name in LEFT_OUT}
    left_out.update(path for folder in LEFT_OUT_FOLDERS for path in (SOURCE / folder).rglob("*.py"))
    return [str(path) for path in found if path not in left_out]


class ParallelBuild(build_ext):
    """Runs as many C compilers at once as there are processors; setuptools runs one after another."""

    def build_extensions(self) -> None:
        """Compile and link all extensions."""
        compile_one, compile_all = self.compiler._compile, self.compiler.compile

        def compile_together(*words: object, **options: object) -> object:
            running: list[Future[None]] = []
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                self.compiler._compile = lambda *each: running.append(pool.submit(compile_one, *each))
                objects = compile_all(*words, **options)
            for one in running:
                one.result()
            return objects

        self.compiler.compile = compile_together
        super().build_extensions()


def extensions() -> list[object]:
    """Nothing, unless asked for, and where only names and versions are."""
    if os.environ.get("CATENET_COMPILE") != "1" or not {"dist_info", "egg_info", "sdist"}.isdisjoint(sys.argv):
        return []
    from mypyc.build import mypycify

    options = ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports"]
    level = os.environ.get("CATENET_COMPILE_LEVEL", "1")
    words = [*options, *hot_modules()]
    return list(mypycify(words, opt_level=level, debug_level="0", multi_file=True, group_name="catenet"))


setup(ext_modules=extensions(), cmdclass={"build_ext": ParallelBuild})
