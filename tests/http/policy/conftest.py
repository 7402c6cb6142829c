"""Servers of the tests of policies."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.peers import UNPACKED, environment, tool

CONFIGURATION = """
ServerRoot {root}
PidFile {root}/pid
DefaultRuntimeDir {root}
Mutex file:{root} default
ErrorLog {root}/error.log
Listen 127.0.0.1:{port}
ServerName localhost
{modules}
DocumentRoot {root}/www
AuthDigestShmemSize 65536
<Directory {root}/www>
  AuthType Digest
  AuthName "a realm"
  AuthDigestProvider file
  AuthUserFile {root}/users
  Require valid-user
</Directory>
"""
MODULES = ("mpm_event", "authn_core", "authz_core", "authn_file", "authz_user", "auth_digest")


@pytest.fixture(scope="session")
def apache_digest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an Apache that asks for Digest."""
    command = tool("apache2")
    root = tmp_path_factory.mktemp("apache")
    (root / "www").mkdir()
    (root / "www" / "secret.txt").write_text("secret\n")
    a1 = hashlib.md5("user:a realm:päss".encode()).hexdigest()
    (root / "users").write_text(f"user:a realm:{a1}\n")
    if not (folder := _modules()).exists():
        pytest.skip("needs the modules of apache2")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    loads = "\n".join(f"LoadModule {name}_module {folder}/mod_{name}.so" for name in MODULES)
    (root / "httpd.conf").write_text(CONFIGURATION.format(root=root, port=port, modules=loads))
    words = [command, "-D", "FOREGROUND", "-f", str(root / "httpd.conf")]
    process = subprocess.Popen(words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(200):
            if process.poll() is not None:
                pytest.skip(f"apache2 does not start: {process.stderr.read().decode()[:300]}")  # type: ignore[union-attr]
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _modules() -> Path:
    unpacked = UNPACKED / "usr" / "lib" / "apache2" / "modules"
    return unpacked if unpacked.exists() else Path("/usr/lib/apache2/modules")
