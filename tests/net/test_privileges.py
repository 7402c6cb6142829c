"""Giving up root: whom to become, whether it is for good, and that nobody is served before."""

import asyncio
import os
import socket
import subprocess
import sys
import textwrap

import pytest
from line_echo import LineCore

from catenet.net import connect, serve
from catenet.net.opening import held, when_open
from catenet.net.privileges import Account, PrivilegeError, check_may_become, find_account


@pytest.mark.parametrize(
    ("text", "uid", "gid"),
    [("nobody", 65534, None), ("65534", 65534, None), ("nobody:4000", 65534, 4000), ("4242:4243", 4242, 4243)],
)
def test_accounts(text, uid, gid):
    found = find_account(text)
    assert found.uid == uid
    assert gid is None or (found.gid, found.groups) == (gid, (gid,))
    assert found.gid in found.groups
    assert str(found) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("nobdy", "there is no user 'nobdy'; do you mean nobody?"),
        ("nobody:rooot", "there is no group 'rooot'; do you mean root?"),
        ("3999999999", "needs a group"),
        ("4294967295:5", "no user's number"),
        ("", "there is no user ''"),
        ("nobody:", "there is no group ''"),
        ("-1:5", "there is no user '-1'"),
    ],
)
def test_accounts_that_are_none(text, complaint):
    with pytest.raises(ValueError, match=r"user|group") as caught:
        find_account(text)
    assert complaint in str(caught.value)


def test_root_is_nobody_to_become():
    with pytest.raises(PrivilegeError, match="keep all"):
        check_may_become(Account(0, 0))


def test_what_waits_begins_at_the_end_and_later_at_once():
    done = []
    with held():
        when_open(lambda: done.append(1))
        assert done == []
    assert done == [1]
    with pytest.raises(KeyError), held():
        when_open(lambda: done.append(2))
        raise KeyError
    when_open(lambda: done.append(3))
    assert done == [1, 3]


def test_nobody_is_served_meanwhile_and_everybody_after():
    async def main():
        with held():
            server = await serve(LineCore, ["tcp://127.0.0.1:0", "tcp://[::1]:0"])
            connection = await connect(LineCore(echo=False), server.urls[0])
            connection.core.send(b"early")
            connection.touch()
            for _ in range(20):
                await asyncio.sleep(0)
            assert server.connections == 0
        assert await connection.next_event() == b"early"
        async with await connect(LineCore(echo=False), server.urls[1]) as other:
            other.core.send(b"late")
            other.touch()
            assert await other.next_event() == b"late"
        connection.abort()
        await server.close()

    asyncio.run(main())


def in_a_process(script):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.root
def test_for_good_in_every_thread():
    shown = in_a_process("""
        import os, subprocess, threading
        from pathlib import Path
        from catenet.net.privileges import become, find_account
        stay = threading.Event()
        threading.Thread(target=stay.wait, daemon=True).start()
        os.setgroups([0, 27])
        become(find_account("4242:4243"))
        for task in Path("/proc/self/task").iterdir():
            status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
            print(*(" ".join(status[name].split()) for name in ("Uid", "Gid", "Groups", "CapPrm", "CapEff")))
        print(Path("/proc/self/status").read_text().partition("NoNewPrivs:")[2].split()[0])
        for change in (lambda: os.setuid(0), lambda: os.seteuid(0), lambda: os.setgroups([0]), lambda: os.setgid(0)):
            try:
                change()
                print("is root again")
            except PermissionError:
                pass
    """)
    one = " ".join(["4242"] * 4 + ["4243"] * 5 + ["0" * 16] * 2)
    assert shown == [one, one, "1"]


@pytest.mark.root
def test_what_is_not_permitted_is_told():
    shown = in_a_process("""
        import os
        from catenet.net.privileges import Account, PrivilegeError, become, find_account
        os.setgroups([]); os.setresgid(4243, 4243, 4243); os.setresuid(4242, 4242, 4242)
        for account in (Account(65534, 65534, (65534,), "nobody"), Account(0, 0), Account(4242, 4243, (4243,))):
            try:
                become(account)
                print("done")
            except PrivilegeError as error:
                print(error)
    """)
    assert shown == ["only root may become nobody; this is user 4242", "root would keep all its rights", "done"]


@pytest.mark.root
def test_capabilities_that_would_stay_are_noticed():
    """SECBIT_KEEP_CAPS (capabilities(7)): the user changes, and root's rights stay."""
    shown = in_a_process("""
        import ctypes
        from catenet.net.privileges import Account, PrivilegeError, become
        ctypes.CDLL(None).prctl(8, 1, 0, 0, 0)
        try:
            become(Account(4242, 4243, (4243,), "x"))
        except PrivilegeError as error:
            print(error)
    """)
    assert shown == ["CapPrm are left after becoming x"]


def test_a_socket_whose_folder_is_not_ours_any_more_is_left(tmp_path, monkeypatch):
    async def main():
        server = await serve(LineCore, f"unix:{tmp_path}/s")

        def refuse(path):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "unlink", refuse)
        await server.close()
        monkeypatch.undo()
        async with await serve(LineCore, f"unix:{tmp_path}/s"):
            assert socket.AF_UNIX

    asyncio.run(main())
