"""resolv.conf(5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from catenet.dns.config import system_config
from catenet.wire.address import parse_address
from catenet.wire.dns.name import name_from_text
from catenet.wire.dns.resolv_conf import format_resolv_conf, parse_resolv_conf
from catenet.wire.dns.stub import Server, StubConfig

LOCAL = Server(parse_address("127.0.0.1"))


def test_everything_that_is_understood() -> None:
    text = """
    # a comment
    ; another
nameserver 192.0.2.1
nameserver 2001:db8::1
domain first.example
search a.example b.example
options ndots:2 timeout:3 attempts:4 rotate edns0 trust-ad use-vc unknown:9
"""
    assert parse_resolv_conf(text) == StubConfig(
        (Server(parse_address("192.0.2.1")), Server(parse_address("2001:db8::1"))),
        (name_from_text("a.example"), name_from_text("b.example")),
        ndots=2,
        timeout=3.0,
        attempts=4,
        rotate=True,
        use_tcp=True,
        edns=True,
        trust_ad=True,
    )


def test_no_server_means_this_machine() -> None:
    assert parse_resolv_conf("") == StubConfig((LOCAL,))
    assert parse_resolv_conf("nameserver not-an-address\noptions ndots:x timeout:0").servers == (LOCAL,)


def test_values_have_the_limits_of_glibc() -> None:
    text = "nameserver 10.0.0.1\n" * 5 + "options ndots:99 timeout:99 attempts:99\n"
    config = parse_resolv_conf(text)
    assert (len(config.servers), config.ndots, config.timeout, config.attempts) == (3, 15, 30, 5)


def test_a_zone_goes_with_a_link_local_server() -> None:
    assert parse_resolv_conf("nameserver fe80::1%3").servers == (Server(parse_address("fe80::1"), 53, 3),)


def test_a_file_that_is_missing_is_an_empty_one(tmp_path: Path) -> None:
    assert system_config(tmp_path / "none").servers == (LOCAL,)


@pytest.mark.parametrize(
    "text",
    [
        "nameserver 192.0.2.1\n",
        "nameserver 192.0.2.1\nnameserver fe80::1%3\nsearch a.example b.example\n"
        "options ndots:2 timeout:3 attempts:4 rotate use-vc edns0 trust-ad\n",
    ],
)
def test_what_was_read_can_be_written(text: str) -> None:
    assert format_resolv_conf(parse_resolv_conf(text)) == text
