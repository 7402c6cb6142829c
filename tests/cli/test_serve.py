"""catenet serve: kinds that are found, the line that says where, signals, workers, mistakes in one line."""

import json
import signal
import sys

import pytest
from tests import commands
from tests.dns.server.running import ZONE, ask_udp, port_of, serving

from catenet.cli import main

QUERY = bytes.fromhex("123401000001000000000000 03777777076578616d706c65036f726700 0001 0001")


@pytest.fixture
def zone(tmp_path):
    (tmp_path / "a.zone").write_text(ZONE)
    return "--zone", "a.zone", "--no-recursive"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["serve"], "the following arguments are required: KIND"),
        (["serve", "dsn"], "no 'dsn' here; did you mean 'dns'?"),
        (["serve", "dns", "--listen", "udp+tpc://127.0.0.1:0"], "no scheme 'udp+tpc'; do you mean udp+tcp?"),
        (["serve", "dns", "--listen", "tls://127.0.0.1:0"], "needs --tls, or --cert (and --key)"),
        (["serve", "dns", "--listen", "udp+tcp://127.0.0.1:99999"], "'99999' is no port"),
        (
            ["serve", "dns", "--listen", "udp+tcp://192.0.2.77:0"],
            "--listen udp+tcp://192.0.2.77:0: cannot bind to 192.0.2.77",
        ),
        (
            ["serve", "http", ".", "--listen", "http://192.0.2.77:0"],
            "--listen http://192.0.2.77:0: cannot bind to 192.0.2.77",
        ),
        (["get", "http://a", "--retry", "x"], "--retry: 'x' is no whole number"),
        (["run", "world.toml", "--seeed", "4"], "unrecognized arguments: --seeed; did you mean --seed?"),
        (["run", "--for", "3x", "x.py"], "unknown unit of time 'x' in '3x'; units are ns, us, ms, s, min, m, h"),
        (["serve", "dns", "--workers", "0"], "--workers 0: at least 1"),
        (["serve", "dns", "--zone", "no.such.zone"], "no.such.zone: No such file or directory"),
        (["serve", "dns", "--config", "no.toml"], "no.toml: no such file or directory"),
        (["serve", "dns", "--workers", "two"], "--workers: 'two' is no whole number"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, complaint):
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("catenet: ") and complaint in err and err.count("\n") == 1


def test_the_kinds_are_the_files_of_the_package(capsys):
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    assert "dns " in capsys.readouterr().out


def test_a_kind_does_not_load_what_others_serve_with():
    command = "import sys; from catenet.cli import main; main(['serve', 'http', 'no/such/folder']); print(*sys.modules)"
    done = commands.run([sys.executable, "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert "no/such/folder: no such file or directory" in done.stderr
    assert "catenet.cli.serve.http" in done.stdout.split()
    assert not [name for name in done.stdout.split() if name.startswith("catenet.dns.server")]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_and_the_status_is_0(tmp_path, zone, loop, signo):
    with serving(tmp_path, *zone, "--listen", "udp+tcp://127.0.0.1:0", "--loop", loop) as server:
        assert port_of(server.urls[0]) > 0
        assert ask_udp(server.port, QUERY)[-4:] == bytes((192, 0, 2, 3))
        server.process.send_signal(signo)
        assert server.process.wait(30) == 0


def test_several_urls_and_json(tmp_path, zone):
    urls = ["udp+tcp://127.0.0.1:0", "udp://[::1]:0", f"unix:{tmp_path}/dns.sock", "http://127.0.0.1:0/ask"]
    words = [word for url in urls for word in ("--listen", url)]
    with serving(tmp_path, *zone, *words, "--json") as server:
        told = json.loads(server.process.stdout.readline())
        assert told == {"kind": "dns", "urls": server.urls}
        assert [url.partition(":")[0] for url in server.urls] == ["udp+tcp", "udp", "unix", "http"]
        assert server.urls[3].endswith("/ask")
        assert ask_udp(port_of(server.urls[0]), QUERY)[-4:] == bytes((192, 0, 2, 3))
    assert not (tmp_path / "dns.sock").exists()


def test_workers_share_ports_and_say_so_once(tmp_path, zone):
    urls = ("--listen", "udp+tcp://127.0.0.1:0", "--listen", f"unix:{tmp_path}/dns.sock")
    with serving(tmp_path, *zone, *urls, "--workers", "3") as server:
        assert len(server.urls) == 2
        for _ in range(30):  # each from another port, and so to any worker
            assert ask_udp(server.port, QUERY)[-4:] == bytes((192, 0, 2, 3))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        assert server.process.stderr.read() == ""


def test_workers_that_cannot_start_say_why_once(tmp_path):
    (tmp_path / "bad.zone").write_text("$TTL 5\n@ SOA a b 1 2 3 4 5\n@ NSS x\n")
    command = [sys.executable, "-m", "catenet", "serve", "dns", "--zone", "bad.zone", "--workers", "2"]
    done = commands.run(
        [*command, "--listen", "udp+tcp://127.0.0.1:0"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert len(set(done.stderr.splitlines())) == 1 and "bad.zone:3" in done.stderr
