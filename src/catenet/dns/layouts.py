"""Which fields the data of each record type has (IANA "DNS Parameters", and the RFC of each type)."""

from __future__ import annotations

from typing import Final

from catenet.dns import fields
from catenet.dns.fields import Field, number
from catenet.wire.dns.numbers import type_from_text
from catenet.wire.errors import Malformed

__all__ = ["LAYOUTS", "text_of_fields"]

_PREFERENCE: Final = number(16, "preference")
_KEY: Final = (number(16, "flags"), number(8, "protocol"), fields.ALGORITHM, fields.BASE64)
_DIGEST: Final = (number(16, "key tag"), fields.ALGORITHM, number(8, "digest type"), fields.HEX)
_SIGNATURE: Final = (
    fields.TYPE.named("type covered"),
    fields.ALGORITHM,
    number(8, "labels"),
    fields.DURATION.named("original TTL"),
    fields.MOMENT.named("expiration"),
    fields.MOMENT.named("inception"),
    number(16, "key tag"),
    fields.NAME.named("signer"),
    fields.BASE64,
)
_CERTIFICATE: Final = (number(8, "usage"), number(8, "selector"), number(8, "matching type"), fields.HEX)

_LAYOUTS: Final[dict[str, tuple[Field, ...]]] = {
    "A": (fields.IPV4,),
    "NS": (fields.NAME,),
    "MD": (fields.NAME,),
    "MF": (fields.NAME,),
    "CNAME": (fields.NAME,),
    "SOA": (
        fields.NAME.named("primary"),
        fields.NAME.named("mailbox"),
        number(32, "serial"),
        fields.DURATION.named("refresh"),
        fields.DURATION.named("retry"),
        fields.DURATION.named("expire"),
        fields.DURATION.named("minimum"),
    ),
    "MB": (fields.NAME,),
    "MG": (fields.NAME,),
    "MR": (fields.NAME,),
    "PTR": (fields.NAME,),
    "HINFO": (fields.STRING.named("CPU"), fields.STRING.named("OS")),
    "MINFO": (fields.NAME, fields.NAME),
    "MX": (_PREFERENCE, fields.NAME.named("exchange")),
    "TXT": (fields.STRINGS,),
    "SPF": (fields.STRINGS,),
    "RP": (fields.NAME.named("mailbox"), fields.NAME),
    "AFSDB": (number(16, "subtype"), fields.NAME),
    "RT": (_PREFERENCE, fields.NAME),
    "PX": (_PREFERENCE, fields.NAME, fields.NAME),
    "AAAA": (fields.IPV6,),
    "SRV": (number(16, "priority"), number(16, "weight"), number(16, "port"), fields.NAME.named("target")),
    "NAPTR": (
        number(16, "order"),
        _PREFERENCE,
        fields.STRING.named("flags"),
        fields.STRING.named("service"),
        fields.STRING.named("regular expression"),
        fields.NAME.named("replacement"),
    ),
    "KX": (_PREFERENCE, fields.NAME),
    "DNAME": (fields.NAME,),
    "DS": _DIGEST,
    "CDS": _DIGEST,
    "SSHFP": (number(8, "algorithm"), number(8, "fingerprint type"), fields.HEX),
    "RRSIG": _SIGNATURE,
    "NSEC": (fields.NAME.named("next name"), fields.TYPE_MAP),
    "DNSKEY": _KEY,
    "CDNSKEY": _KEY,
    "DHCID": (fields.BASE64,),
    "NSEC3": (
        number(8, "hash algorithm"),
        number(8, "flags"),
        number(16, "iterations"),
        fields.SALT,
        fields.HASH,
        fields.TYPE_MAP,
    ),
    "NSEC3PARAM": (
        number(8, "hash algorithm"),
        number(8, "flags"),
        number(16, "iterations"),
        fields.SALT,
    ),
    "TLSA": _CERTIFICATE,
    "SMIMEA": _CERTIFICATE,
    "OPENPGPKEY": (fields.BASE64,),
    "CSYNC": (number(32, "serial"), number(16, "flags"), fields.TYPE_MAP),
    "ZONEMD": (number(32, "serial"), number(8, "scheme"), number(8, "hash algorithm"), fields.HEX),
    "LP": (_PREFERENCE, fields.NAME),
    "URI": (
        number(16, "priority"),
        number(16, "weight"),
        fields.LONG_STRING.named("target"),
    ),
    "CAA": (
        number(8, "flags"),
        fields.TAG,
        fields.LONG_STRING.named("value"),
    ),
}
LAYOUTS: Final = {type_from_text(name): layout for name, layout in _LAYOUTS.items()}
"""By number of the type. Of those that are not here dnspython knows the format."""


def text_of_fields(layout: tuple[Field, ...], data: bytes) -> str:
    """The data as a zone file has it. Raises Malformed when it is not that of the layout."""
    words, at = [], 0
    for field in layout:
        word, at = field.write(data, at)
        words.append(word)
    if at != len(data):
        raise Malformed("dns: record data is too long")
    return " ".join(words).rstrip()
