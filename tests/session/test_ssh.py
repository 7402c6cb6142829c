"""ssh over a session (`ProxyCommand`), in front of a real sshd: it goes on when its connections are destroyed."""

import os
import subprocess
import sys

import pytest
import trustme
from tests import peers

pytestmark = [pytest.mark.root, pytest.mark.peer, pytest.mark.slow(10)]

SSHD = """
mount --bind "$1/passwd" /etc/passwd
mount -t tmpfs none /run
mkdir -m 755 /run/sshd
exec "$2" -D -e -f "$1/sshd_config"
"""
"""With the user and the folder that its package would have made. What is mounted is seen by this process alone."""
CONFIG = """
ListenAddress 127.0.0.1:22
HostKey {0}/host
AuthorizedKeysFile {0}/user.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
"""
CATENET = [sys.executable, "-m", "catenet"]


@pytest.fixture
def folder(tmp_path):
    for name in ("host", "user"):
        words = [peers.tool("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / name)]
        subprocess.run(words, check=True, capture_output=True, env=peers.environment())
    (tmp_path / "known").write_text("server " + (tmp_path / "host.pub").read_text())
    (tmp_path / "sshd_config").write_text(CONFIG.format(tmp_path))
    others = [line for line in open("/etc/passwd") if not line.startswith("sshd:")]
    (tmp_path / "passwd").write_text("".join(others) + "sshd:x:65000:65534::/run/sshd:/usr/sbin/nologin\n")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("server").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    return tmp_path


def test_an_ssh_session_survives(namespace, folder):
    ssh, sshd = peers.tool("ssh"), peers.tool("sshd")
    server = namespace.start("sh", "-ec", SSHD, "sh", str(folder), sshd, env=peers.environment())
    line = server.stdout.readline()
    assert "listening" in line, line
    certificate = ["--cert", str(folder / "server.pem")]
    near = "session+tls://127.0.0.1:2200"
    relay = namespace.start(*CATENET, "listen", "-k", near, "tcp://127.0.0.1:22", *certificate)
    assert relay.stdout.readline().startswith("serving relay on ")
    proxy = [*CATENET, "connect", near, "--ca", str(folder / "ca.pem"), "--sni", "server"]
    options = {
        "ProxyCommand": " ".join(proxy),
        "UserKnownHostsFile": folder / "known",
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    words = [ssh, "-F", "/dev/null", "-i", str(folder / "user"), *words, "root@server", "cat"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    client = subprocess.Popen(namespace.command(words), env=peers.environment(), **pipes)
    destroyed = 0
    try:
        for turn in range(7):
            text = os.urandom(30_000)
            client.stdin.write(text)
            client.stdin.flush()
            if turn:  # what is begun first is the session
                kill = ["ss", "-K", "-tnH", "state", "established", "sport", "=", ":2200"]
                destroyed += bool(namespace.run(*kill).stdout.strip())
            assert client.stdout.read(len(text)) == text
            assert client.poll() is None
        client.stdin.close()
        assert client.stdout.read() == b""
        assert client.wait(30) == 0
    finally:
        client.kill()
        client.wait()
    if not destroyed:
        pytest.skip("the kernel is without CONFIG_INET_DIAG_DESTROY")
    assert destroyed > 2
