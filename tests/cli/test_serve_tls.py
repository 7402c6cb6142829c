"""`--tls`: one word instead of a certificate, for all servers that take one."""

import json
import socket
import ssl

import pytest
from tests.dns.server.running import ZONE, port_of, serving

from catenet.cli import main
from catenet.net import client_context


@pytest.fixture(autouse=True)
def data(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "a.zone").write_text(ZONE)
    return tmp_path / "data" / "catenet" / "tls"


def handshake(port, authority, name):
    context = client_context(str(authority))
    with socket.create_connection(("127.0.0.1", port)) as plain, context.wrap_socket(plain, server_hostname=name) as it:
        return it.version()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_has_a_certificate_that_its_authority_vouches_for(tmp_path, data, workers):
    words = ["--zone", "a.zone", "--no-recursive", "--listen", "tls://127.0.0.1:0", "--tls", "--json"]
    with serving(tmp_path, *words, "--workers", workers) as server:
        told = json.loads(server.process.stdout.readline())
        assert told["authority"] == str(data / "authority.pem")
        lines = [server.process.stderr.readline() for _ in range(10)]
        assert lines[0] == f"its certificate is signed by a new authority of this machine, {data}/authority.pem; " + (
            "to trust it:\n"
        )
        assert lines[1] == f"  Catenet (get, rpc):    catenet get --cacert {data}/authority.pem\n"
        assert lines[2] == f"  Catenet (connect):     catenet connect --ca {data}/authority.pem\n"
        assert lines[3] == f"  curl:                  curl --cacert {data}/authority.pem\n"
        for name in ("localhost", "127.0.0.1"):
            assert handshake(port_of(server.urls[0]), told["authority"], name) == "TLSv1.3"
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(port_of(server.urls[0]), told["authority"], "example.org")
    with serving(tmp_path, *words) as server:
        assert server.process.stderr.readline() == f"its certificate is signed by {data}/authority.pem\n"


def test_addresses_of_the_machine_when_a_server_listens_on_all(tmp_path, data):
    with serving(tmp_path, "--zone", "a.zone", "--no-recursive", "--listen", "tls://:0", "--tls") as server:
        assert handshake(port_of(server.urls[0]), data / "authority.pem", "::1") == "TLSv1.3"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["serve", "dns", "--tls"], "--tls: no URL of --listen has TLS; choose from tls://"),
        (
            ["serve", "dns", "--tls", "--cert", "x.pem", "--listen", "tls://:0"],
            "--tls makes a certificate; --cert and --key name one: give one or the other",
        ),
        (
            ["serve", "dns", "--tls", "--listen", "tls://192.0.2.1:0"],
            "--tls: the local authority is for this machine and private networks, not for 192.0.2.1; name",
        ),
        (["serve", "dns", "--listen", "tls://127.0.0.1:0"], "needs --tls, or --cert (and --key)"),
    ],
)
def test_a_mistake_is_one_line(capsys, words, complaint):
    assert main(words) == 2
    assert complaint in capsys.readouterr().err


def test_a_data_folder_that_is_a_file(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "a.zone"))
    assert main(["serve", "dns", "--tls", "--listen", "tls://127.0.0.1:0"]) == 2
    assert "a.zone/catenet/tls: Not a directory" in capsys.readouterr().err
