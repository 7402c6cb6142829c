"""Numbers of the DNS and their mnemonics (IANA "Domain Name System (DNS) Parameters")."""

from __future__ import annotations

from typing import Final

__all__ = [
    "AA",
    "AAAA",
    "AD",
    "ANY",
    "AXFR",
    "BADCOOKIE",
    "BADVERS",
    "CD",
    "CDNSKEY",
    "CDS",
    "CH",
    "CLASSES",
    "CNAME",
    "DNAME",
    "DNSKEY",
    "DS",
    "FLAGS",
    "FORMERR",
    "HTTPS",
    "IN",
    "IXFR",
    "LOC",
    "MX",
    "NOERROR",
    "NOTAUTH",
    "NOTIFY",
    "NOTIMP",
    "NOTZONE",
    "NS",
    "NSEC",
    "NSEC3",
    "NSEC3PARAM",
    "NXDOMAIN",
    "NXRRSET",
    "OPCODES",
    "OPT",
    "PTR",
    "QR",
    "QUERY",
    "RA",
    "RCODES",
    "RD",
    "REFUSED",
    "RRSIG",
    "SERVFAIL",
    "SOA",
    "SRV",
    "SVCB",
    "TC",
    "TSIG",
    "TXT",
    "TYPES",
    "UPDATE",
    "YXDOMAIN",
    "YXRRSET",
    "ZONEMD",
    "A",
    "class_from_text",
    "class_to_text",
    "flags_to_text",
    "rcode_to_text",
    "type_from_text",
    "type_to_text",
]

# Bits of the second word of the header (RFC 1035 4.1.1, RFC 4035 3.1.6, 3.2.2).
QR: Final = 0x8000
"""It is a response."""
AA: Final = 0x0400
"""The server is an authority for the name."""
TC: Final = 0x0200
"""The message was cut to fit."""
RD: Final = 0x0100
"""Recursion is desired."""
RA: Final = 0x0080
"""Recursion is available."""
AD: Final = 0x0020
"""The server has validated the data."""
CD: Final = 0x0010
"""The client validates by itself."""

FLAGS: Final = {"qr": QR, "aa": AA, "tc": TC, "rd": RD, "ra": RA, "ad": AD, "cd": CD}

QUERY: Final = 0
NOTIFY: Final = 4
UPDATE: Final = 5
OPCODES: Final = {0: "QUERY", 1: "IQUERY", 2: "STATUS", 4: "NOTIFY", 5: "UPDATE", 6: "DSO"}

NOERROR: Final = 0
FORMERR: Final = 1
SERVFAIL: Final = 2
NXDOMAIN: Final = 3
NOTIMP: Final = 4
REFUSED: Final = 5
YXDOMAIN: Final = 6
YXRRSET: Final = 7
NXRRSET: Final = 8
NOTAUTH: Final = 9
NOTZONE: Final = 10
BADVERS: Final = 16
BADCOOKIE: Final = 23
RCODES: Final = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    11: "DSOTYPENI",
    16: "BADVERS",
    17: "BADKEY",
    18: "BADTIME",
    19: "BADMODE",
    20: "BADNAME",
    21: "BADALG",
    22: "BADTRUNC",
    23: "BADCOOKIE",
}

IN: Final = 1
CH: Final = 3
CLASSES: Final = {1: "IN", 3: "CH", 4: "HS", 254: "NONE", 255: "ANY"}

A: Final = 1
NS: Final = 2
CNAME: Final = 5
SOA: Final = 6
PTR: Final = 12
MX: Final = 15
TXT: Final = 16
AAAA: Final = 28
LOC: Final = 29
SRV: Final = 33
DNAME: Final = 39
OPT: Final = 41
DS: Final = 43
RRSIG: Final = 46
NSEC: Final = 47
DNSKEY: Final = 48
NSEC3: Final = 50
NSEC3PARAM: Final = 51
ZONEMD: Final = 63
SVCB: Final = 64
HTTPS: Final = 65
CDS: Final = 59
CDNSKEY: Final = 60
TSIG: Final = 250
IXFR: Final = 251
AXFR: Final = 252
ANY: Final = 255
TYPES: Final = {
    1: "A",
    2: "NS",
    3: "MD",
    4: "MF",
    5: "CNAME",
    6: "SOA",
    7: "MB",
    8: "MG",
    9: "MR",
    10: "NULL",
    11: "WKS",
    12: "PTR",
    13: "HINFO",
    14: "MINFO",
    15: "MX",
    16: "TXT",
    17: "RP",
    18: "AFSDB",
    19: "X25",
    20: "ISDN",
    21: "RT",
    22: "NSAP",
    23: "NSAP-PTR",
    24: "SIG",
    25: "KEY",
    26: "PX",
    27: "GPOS",
    28: "AAAA",
    29: "LOC",
    30: "NXT",
    33: "SRV",
    35: "NAPTR",
    36: "KX",
    37: "CERT",
    38: "A6",
    39: "DNAME",
    41: "OPT",
    42: "APL",
    43: "DS",
    44: "SSHFP",
    45: "IPSECKEY",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    49: "DHCID",
    50: "NSEC3",
    51: "NSEC3PARAM",
    52: "TLSA",
    53: "SMIMEA",
    55: "HIP",
    59: "CDS",
    60: "CDNSKEY",
    61: "OPENPGPKEY",
    62: "CSYNC",
    63: "ZONEMD",
    64: "SVCB",
    65: "HTTPS",
    99: "SPF",
    104: "NID",
    105: "L32",
    106: "L64",
    107: "LP",
    108: "EUI48",
    109: "EUI64",
    249: "TKEY",
    250: "TSIG",
    251: "IXFR",
    252: "AXFR",
    253: "MAILB",
    254: "MAILA",
    255: "ANY",
    256: "URI",
    257: "CAA",
}
_TYPE_NUMBERS: Final = {name: number for number, name in TYPES.items()}
_CLASS_NUMBERS: Final = {name: number for number, name in CLASSES.items()}


def type_to_text(number: int) -> str:
    """Mnemonic of a record type; TYPE123 for one without (RFC 3597 5)."""
    return TYPES.get(number) or f"TYPE{number}"


def type_from_text(text: str) -> int:
    """Number of a record type, from its mnemonic or TYPE123; ValueError for anything else."""
    return _from_text(text, _TYPE_NUMBERS, "TYPE", "a record type")


def class_to_text(number: int) -> str:
    """Mnemonic of a class; CLASS123 for one without (RFC 3597 5)."""
    return CLASSES.get(number) or f"CLASS{number}"


def class_from_text(text: str) -> int:
    """Number of a class, from its mnemonic or CLASS123; ValueError for anything else."""
    return _from_text(text, _CLASS_NUMBERS, "CLASS", "a class")


def rcode_to_text(number: int) -> str:
    """Mnemonic of a response code; RCODE123 for one without."""
    return RCODES.get(number) or f"RCODE{number}"


def flags_to_text(flags: int) -> str:
    """The bits that are set, as dig prints them: `qr rd ra`."""
    return " ".join(name for name, bit in FLAGS.items() if flags & bit)


def _from_text(text: str, numbers: dict[str, int], prefix: str, kind: str) -> int:
    upper = text.upper()
    number = numbers.get(upper)
    if number is None and upper.startswith(prefix) and upper[len(prefix) :].isdecimal() and upper.isascii():
        number = int(upper[len(prefix) :])
    if number is None or number > 0xFFFF:
        raise ValueError(f"{text!r} is not {kind}")
    return number
