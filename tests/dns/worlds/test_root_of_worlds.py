"""Programs with resolvers of their own find the root of a signed world, and its key, where Debian has those."""

import sys
from pathlib import Path

import pytest
from tests import commands

pytest.importorskip("cryptography")

WORLD = """
[dns]
sign = SIGN

[dns.zones."example."]
names.www = "192.0.2.80"

[hosts.client]
run = "-m catenet resolve www.example. A"

[hosts.walker]
run = "-m catenet resolve www.example. A --trace"

[hosts.server]
run = "-m catenet serve dns --config n.toml"
service = true

[hosts.asker]
run = "-m catenet resolve www.example. A @server"
start = "1s"

[hosts.reader]
run = "reader.py"
"""
SERVER = """
listen = "udp+tcp://:53"
root-hints = "/usr/share/dns/root.hints"
trust-anchor = "/usr/share/dns/root.key"
access.recursion = ["0.0.0.0/0", "::/0"]
"""
READER = """
import os
from pathlib import Path
print(Path("/usr/share/dns/root.hints").read_text().splitlines()[0])
try:
    open("/usr/share/dns/root.key", "w")
except OSError as error:
    print(os.strerror(error.errno))
"""


def run(folder: Path, text: str) -> str:
    (folder / "reader.py").write_text(READER)
    (folder / "n.toml").write_text(SERVER)
    (folder / "w.toml").write_text(text)
    words = [sys.executable, "-m", "catenet", "run", "w.toml"]
    done = commands.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_signed_world_is_secure_without_being_told(tmp_path: Path) -> None:
    shown = run(tmp_path, WORLD.replace("SIGN", "true"))
    lines = shown.replace(" ", "")
    assert "client|;;secure:.>example." in lines
    assert "walker|;;example.DS" in lines and "walker|;;secure" in lines
    assert "asker|;;www.example.A:NOERROR(qrrdraad)" in lines and "asker|;;secure:.>example." in lines
    assert "reader|.3600000INNSdns-root." in lines and "Read-only file system" in shown


def test_an_unsigned_world_has_no_key(tmp_path: Path) -> None:
    text = WORLD.replace("SIGN", "false").partition("[hosts.server]")[0]
    shown = run(tmp_path, text)
    assert "secure:" not in shown and "indeterminate" in shown
