"""`gssdp.py find|offer INTERFACE TARGET [UDN URL]`: GUPnP's library; says what is found and gone."""

from __future__ import annotations

import ctypes
import sys
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_uint, c_ulong, c_void_p
from typing import Any


class Strings(Structure):
    """A GList of strings."""


Strings._fields_ = [("data", c_char_p), ("next", POINTER(Strings)), ("previous", POINTER(Strings))]
CALLS: dict[str, dict[str, tuple[Any, ...]]] = {
    "glib-2.0.so.0": {"g_main_loop_new": (c_void_p, c_void_p, c_int), "g_main_loop_run": (None, c_void_p)},
    "gobject-2.0.so.0": {"g_signal_connect_data": (c_ulong, c_void_p, c_char_p, c_void_p, c_void_p, c_void_p, c_int)},
    "gssdp-1.6.so.0": {
        "gssdp_client_new_full": (c_void_p, c_char_p, c_void_p, ctypes.c_uint16, c_int, c_void_p),
        "gssdp_resource_browser_new": (c_void_p, c_void_p, c_char_p),
        "gssdp_resource_browser_set_active": (c_int, c_void_p, c_int),
        "gssdp_resource_group_new": (c_void_p, c_void_p),
        "gssdp_resource_group_add_resource_simple": (c_uint, c_void_p, c_char_p, c_char_p, c_char_p),
        "gssdp_resource_group_set_available": (None, c_void_p, c_int),
    },
}


def load() -> dict[str, Any]:
    """The functions by name, with their types."""
    found = {}
    for library, calls in CALLS.items():
        loaded = ctypes.CDLL(f"lib{library}")
        for name, (result, *arguments) in calls.items():
            found[name] = getattr(loaded, name)
            found[name].restype, found[name].argtypes = result, arguments
    return found


def on_found(browser: int, usn: bytes, urls: ctypes._Pointer[Strings], data: int) -> None:
    print("found", usn.decode(), urls.contents.data.decode() if urls else "", flush=True)


def on_gone(browser: int, usn: bytes, data: int) -> None:
    print("gone", usn.decode(), flush=True)


def main(what: str, interface: str, target: str, udn: str = "", url: str = "") -> None:
    """Offer or find until the end."""
    call = load()
    client = call["gssdp_client_new_full"](interface.encode(), None, 0, 0, None)
    if what == "offer":
        group = call["gssdp_resource_group_new"](client)
        call["gssdp_resource_group_add_resource_simple"](
            group, target.encode(), f"{udn}::{target}".encode(), url.encode()
        )
        call["gssdp_resource_group_set_available"](group, 1)
    else:
        browser = call["gssdp_resource_browser_new"](client, target.encode())
        found = CFUNCTYPE(None, c_void_p, c_char_p, POINTER(Strings), c_void_p)(on_found)
        gone = CFUNCTYPE(None, c_void_p, c_char_p, c_void_p)(on_gone)
        for signal, callback in ((b"resource-available", found), (b"resource-unavailable", gone)):
            address = ctypes.cast(callback, c_void_p)
            call["g_signal_connect_data"](browser, signal, address, None, None, 0)
        call["gssdp_resource_browser_set_active"](browser, 1)
    print("ready", flush=True)
    call["g_main_loop_run"](call["g_main_loop_new"](None, 0))


main(*sys.argv[1:])
