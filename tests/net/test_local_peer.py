"""What the kernel says of the peer of a Unix socket."""

import errno
import os
import select
import socket
import struct
import subprocess
import sys
import textwrap

import pytest

from catenet.net import local_peer as module
from catenet.net.local_peer import LocalPeer, local_peer

PEERCRED, PEERSEC, PEERGROUPS = 17, 31, 59


class Answers:
    """A socket whose kernel says what the test wants."""

    def __init__(self, credentials=(7, 1000, 100), groups=(), label=None):
        self.said = {PEERCRED: struct.pack("iII", *credentials), PEERGROUPS: struct.pack(f"{len(groups)}I", *groups)}
        if label is not None:
            self.said[PEERSEC] = label

    def fileno(self):
        return -1

    def getsockopt(self, level, option, size=0):
        if option not in self.said:
            raise OSError(errno.ENOPROTOOPT, "no")
        return self.said[option][:size]


def test_a_pair_is_this_process():
    one, other = socket.socketpair()
    with one, other:
        peer = local_peer(one)
        assert (peer.pid, peer.uid, peer.gid) == (os.getpid(), os.geteuid(), os.getegid())
        assert set(peer.groups) == set(os.getgroups())
        assert peer.process.running() in (True, None)
        assert not peer.foreign


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX])
def test_without_a_peer_nothing_is_said(family):
    with socket.socket(family) as sock:
        assert local_peer(sock) is None


def test_groups_and_label():
    assert local_peer(Answers(groups=(4, 5), label=b"container_t:s0:c1\0")) == LocalPeer(
        7, 1000, 100, (4, 5), "container_t:s0:c1"
    )
    assert local_peer(Answers(label=b"\xff\n")).label == "\ufffd"


@pytest.fixture
def unmapped(monkeypatch):
    monkeypatch.setattr(module, "_unmapped", lambda kind: 65534)


def test_numbers_of_other_namespaces_mean_nothing(unmapped):
    peer = local_peer(Answers((0, 65534, 65534), (65534, 20)))
    assert (peer.pid, peer.uid, peer.gid, peer.groups) == (None, None, None, (20,))
    assert peer.foreign
    assert local_peer(Answers((0, 1000, 100))).foreign


def test_nobody_is_somebody_where_every_user_is_mapped(monkeypatch):
    monkeypatch.setattr(module, "_unmapped", lambda kind: None)
    assert local_peer(Answers((7, 65534, 65534))).uid == 65534


def test_the_process_that_connected_not_the_one_that_holds_the_socket(tmp_path):
    """A child connects, leaves the socket to a grandchild and ends: its number could be anybody's by now."""
    path, (done, tell) = str(tmp_path / "s"), os.pipe()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        child = os.fork()
        if not child:
            client = socket.socket(socket.AF_UNIX)
            client.connect(path)
            os.close(tell)
            if not os.fork():
                os.read(done, 1)  # until the test has closed its end
            os._exit(0)
        server, _ = listener.accept()
        os.waitpid(child, 0)
        with server:
            peer = local_peer(server)
            assert peer.pid == child
            assert not peer.process.running()
            assert not select.select([server], [], [], 0)[0]  # the connection itself lives
        os.close(tell)
        os.close(done)


def test_a_closed_connection_is_not_asked():
    peer = local_peer(Answers(), lambda: False)
    assert peer.process.running() is False
    with pytest.raises(ProcessLookupError):
        peer.process.open()


def test_a_kernel_that_does_not_know():
    assert local_peer(Answers()).process.running() is None


def run_as_root(script, *command):
    done = subprocess.run(
        [*command, sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.root
def test_another_user_with_many_groups():
    """More groups than Python's getsockopt reads."""
    shown = run_as_root("""
        import os, socket
        from catenet.net.local_peer import local_peer
        listener = socket.socket(socket.AF_UNIX); listener.bind(""); listener.listen()
        if not os.fork():
            try:
                os.setgroups(range(5000, 5600)); os.setresgid(4242, 4242, 4242); os.setresuid(4343, 4343, 4343)
                client = socket.socket(socket.AF_UNIX); client.connect(listener.getsockname()); client.recv(1)
            finally:
                os._exit(0)
        sock, _ = listener.accept()
        peer = local_peer(sock)
        print(peer.uid, peer.gid, len(peer.groups), peer.groups[-1])
    """)
    assert shown == ["4343 4242 600 5599"]


@pytest.mark.root
def test_from_within_other_namespaces():
    """A server in a user namespace that maps one user, and in a process namespace, sees nobody it could name."""
    shown = run_as_root("""
        import os, socket, subprocess, sys
        server = '''if 1:
            import os, socket
            from catenet.net.local_peer import local_peer
            listener = socket.socket(socket.AF_UNIX); listener.bind(""); listener.listen()
            print(listener.getsockname().decode()[1:], flush=True)
            for _ in range(2):
                sock, _ = listener.accept()
                peer = local_peer(sock)
                print(peer.pid is None, peer.uid, peer.gid, peer.groups, peer.foreign, flush=True)
            '''
        process = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--pid", "--fork", sys.executable, "-c", server],
            stdout=subprocess.PIPE, text=True)
        name = chr(0) + process.stdout.readline().strip()
        def client(uid):
            if not os.fork():
                try:
                    if uid:
                        os.setgroups([77]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
                    socket.socket(socket.AF_UNIX).connect(name)
                finally:
                    os._exit(0)
            os.wait()
            print(process.stdout.readline(), end="", flush=True)
        client(4343); client(0)
        process.wait()
    """)
    assert shown == ["True None None () True", "True 0 0 () True"]
