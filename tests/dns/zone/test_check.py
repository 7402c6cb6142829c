"""What a zone that can be read has wrong, beside named-checkzone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.peers import tool

from catenet.dns.zone import read_zone
from catenet.dns.zone.check import check_zone
from catenet.wire.dns.name import name_from_text

HEAD = "$TTL 60\n@ SOA ns h 1 2 3 4 5\n"
SERVED = f"{HEAD}@ NS ns.elsewhere.\n"

ERRORS = {
    "no server": (HEAD, "example.: no NS records"),
    "a server without address": (f"{HEAD}@ NS ns\n", "ns.example. has no address"),
    "a server that is an alias": (f"{HEAD}@ NS ns\nns CNAME x\nx A 192.0.2.1\n", "ns.example. is an alias"),
    "no glue": (f"{SERVED}sub NS ns.sub\n", "sub.example.: the name server ns.sub.example. is below its delegation"),
    "below DNAME": (f"{SERVED}d DNAME x.\nx.d A 192.0.2.1\n", "x.d.example.: below the DNAME record of d.example."),
    "a wildcard that delegates": (f"{SERVED}*.w NS ns.elsewhere.\n", "a wildcard that delegates"),
}
WARNINGS = {
    "no sibling glue": (
        f"{SERVED}sub NS ns.sib\nsib NS ns.elsewhere.\n",
        "ns.sib.example. is below another delegation",
    ),
    "MX to an alias": (f"{SERVED}@ MX 1 m\nm CNAME x\nx A 192.0.2.1\n", "the MX target m.example. is an alias"),
    "MX to nowhere": (f"{SERVED}@ MX 1 m\n", "the MX target m.example. has no address"),
    "SRV to nowhere": (f"{SERVED}_a._b SRV 1 1 1 m\n", "the SRV target m.example. has no address"),
    "data below a cut": (f"{SERVED}cut NS ns.elsewhere.\nx.cut TXT a\n", "TXT below the delegation of cut.example."),
    "data at a cut": (f"{SERVED}cut NS ns.elsewhere.\ncut TXT a\n", "TXT beside a delegation"),
    "DS without NS": (f"{SERVED}d DS 1 8 2 {'00' * 32}\n", "DS records without NS"),
    "an inner star": (f"{SERVED}a.*.b A 192.0.2.1\n", "'*' is not the first label"),
}
FINE = {
    "nothing special": f"{HEAD}@ NS ns\nns A 192.0.2.1\n",
    "an address from a wildcard": f"{HEAD}@ NS ns.x\n@ MX 1 m.x\n*.x A 192.0.2.1\n",
    "no mail": f"{SERVED}@ MX 0 .\n_a._b SRV 0 0 0 .\n",
    "glue": f"{SERVED}sub NS ns.sub\nns.sub AAAA 2001:db8::1\n",
}
LENIENT = {"no glue", "below DNAME"}
"""Of the errors: what named-checkzone only mentions, or does not see."""


@pytest.mark.parametrize("what", [*ERRORS, *WARNINGS])
def test_what_is_wrong_is_found(what: str) -> None:
    text, said = {**ERRORS, **WARNINGS}[what]
    found = check_zone(read_zone(text, name_from_text("example.")))
    assert [said in str(one) for one in found] == [True]
    assert found[0].is_error == (what in ERRORS)
    assert str(found[0]).startswith("error: " if what in ERRORS else "warning: ")


@pytest.mark.parametrize("what", FINE)
def test_what_is_right_is_not(what: str) -> None:
    assert check_zone(read_zone(FINE[what], name_from_text("example."))) == []


@pytest.mark.peer
@pytest.mark.parametrize("what", [*ERRORS, *WARNINGS, *FINE])
def test_bind_refuses_what_we_call_an_error(what: str, tmp_path: Path) -> None:
    text = {**ERRORS, **WARNINGS}[what][0] if what not in FINE else FINE[what]
    file = tmp_path / "zone"
    file.write_text(text)
    done = subprocess.run([tool("named-checkzone"), "example.", str(file)], capture_output=True)
    assert bool(done.returncode) == (what in ERRORS and what not in LENIENT), done.stdout
