"""Giving up root for good (credentials(7), capabilities(7)).

All of it happens or the process is not to go on: groups first, as only root may set them; then the three group and the
three user identifiers; then it is tried whether they can be got back, and looked whether a capability is left.
"""

from __future__ import annotations

import ctypes
import difflib
import grp
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Account", "PrivilegeError", "become", "check_may_become", "find_account"]

_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITIES: Final = ("CapPrm", "CapEff", "CapAmb")
_MOST: Final = 0xFFFF_FFFE


class PrivilegeError(OSError):
    """A process cannot become somebody else, or has not quite; the text says why."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a process is to become. `groups` are the supplementary ones; `name` is for people."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    name: str = ""

    def __str__(self) -> str:
        return self.name or str(self.uid)


def find_account(text: str) -> Account:
    """Return the account of `USER` or `USER:GROUP`, names or numbers. Raises `ValueError` with the nearest name.

    A user by name has the groups that the system gives it; with a GROUP, or by a number that has no name, only the one.
    A number without a name needs a GROUP.
    """
    user, colon, group = text.partition(":")
    entry = _user(user)
    if entry is None and not colon:
        raise ValueError(f"{text!r}: a number that is no user's needs a group: {text}:GROUP")
    uid = int(user) if entry is None else entry.pw_uid
    if colon:
        gid = _group(group)
        return Account(uid, gid, (gid,), text)
    assert entry is not None
    return Account(uid, entry.pw_gid, tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)), text)


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        if name.isascii() and name.isdigit():
            if int(name) > _MOST:
                raise ValueError(f"{name!r} is no user's number")
            return pwd.getpwuid(int(name))
        return pwd.getpwnam(name)
    except KeyError:
        if name.isdigit():
            return None
        raise ValueError(f"there is no user {name!r}{_hint(name, [one.pw_name for one in pwd.getpwall()])}") from None


def _group(name: str) -> int:
    if name.isascii() and name.isdigit() and int(name) <= _MOST:
        return int(name)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise ValueError(f"there is no group {name!r}{_hint(name, [one.gr_name for one in grp.getgrall()])}") from None


def _hint(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f"; do you mean {near[0]}?" if near else ""


def check_may_become(account: Account) -> None:
    """Raise `PrivilegeError` if this process is not allowed to. Nothing changes."""
    if account.uid == 0:
        raise PrivilegeError("root would keep all its rights")
    if not _is_root() and not _is(account):
        raise PrivilegeError(f"only root may become {account}; this is user {os.geteuid()}")


def become(account: Account) -> None:
    """Become `account`, and nobody else ever again. Raises `PrivilegeError`: then end the process.

    Programs with set-user-ID bits give this thread, and those that it starts from now on, nothing any more either
    (PR_SET_NO_NEW_PRIVS).
    """
    check_may_become(account)
    if _is_root():
        try:
            os.setgroups(account.groups)
            os.setresgid(account.gid, account.gid, account.gid)
            os.setresuid(account.uid, account.uid, account.uid)
        except OSError as error:
            raise PrivilegeError(f"cannot become {account}: {error.strerror}") from None
    if not _is(account):
        raise PrivilegeError(f"has not quite become {account}")
    _check_for_good(account)


def _is_root() -> bool:
    return os.geteuid() == 0


def _is(account: Account) -> bool:
    ids = set(os.getresuid()) == {account.uid} and set(os.getresgid()) == {account.gid}
    return ids and set(os.getgroups()) <= {account.gid, *account.groups}


def _check_for_good(account: Account) -> None:
    if _succeeds(os.setresuid, 0) or (account.gid != 0 and _succeeds(os.setresgid, 0)):
        raise PrivilegeError(f"could become root again after becoming {account}")
    left = _capabilities()
    if left:
        raise PrivilegeError(f"{', '.join(left)} are left after becoming {account}")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise PrivilegeError("cannot refuse new privileges (prctl(2))")


def _succeeds(change: Callable[[int, int, int], None], identifier: int) -> bool:
    try:
        change(identifier, identifier, identifier)
    except OSError:
        return False
    return True


def _capabilities() -> list[str]:
    """Sets of capabilities that are not empty, of any thread."""
    found = set()
    for status in Path("/proc/self/task").glob("*/status"):
        try:
            lines = status.read_text().splitlines()
        except OSError:
            continue  # a thread that has ended
        for line in lines:
            name, _, value = line.partition(":")
            if name in _CAPABILITIES and int(value, 16):
                found.add(name)
    return sorted(found)
