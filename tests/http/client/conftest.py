"""Modules that several tests of this folder share can be imported by name."""

import ssl
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import trustme

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A local authority: contexts of a server and of its clients, and the files of both."""
    folder = tmp_path_factory.mktemp("authority")
    ca = trustme.CA()
    issued = ca.issue_cert("localhost", "127.0.0.1", "::1", "server", "proxy", "10.0.0.1")
    ca.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    ca.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issued.configure_cert(server)
    return SimpleNamespace(
        server=server,
        ca=str(folder / "ca.pem"),
        cert=str(folder / "server.pem"),
        client=str(folder / "client.pem"),
        trustme=ca,
    )
