"""Zones with every kind of good and bad DNSSEC below one private root, and the questions to ask of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.dns.dnssec.tree import DAY, ServedZone, Tree, make_key

from catenet.dns.dnssec.keys import SHA1, SHA256, SHA384, Ds, Key, ds_from_key
from catenet.dns.dnssec.nsec3 import nsec3_hash
from catenet.dns.dnssec.private import SigningKey, revoked
from catenet.dns.dnssec.rrsig import Signature, rrsig_head, signed_data
from catenet.dns.dnssec.sign import Nsec3Settings, sign_set
from catenet.dns.rrset import RRset
from catenet.wire.dns.bitmap import pack_types, unpack_types
from catenet.wire.dns.name import name_from_text, skip_name
from catenet.wire.dns.numbers import DNSKEY, NSEC, NSEC3, SOA

BODY = """
www A 192.0.2.1
www A 192.0.2.2
txt TXT "some text"
alias CNAME www
away CNAME www.good.cases.
*.wild A 192.0.2.3
a.b.c A 192.0.2.4
old DNAME c
"""
QUESTIONS = (("www", "A"), ("www", "TXT"), ("no", "A"), ("x.wild", "A"), ("b.c", "A"), ("alias", "A"), ("@", "SOA"))
"""Asked of every zone."""
MORE = (
    ("away", "A"),
    ("a.b.old", "A"),
    ("x.wild", "MX"),
    ("x.y.wild", "A"),
    ("@", "DNSKEY"),
    ("@", "DS"),
    ("www", "DS"),
    ("no", "DS"),
    ("a.b.no", "A"),
    ("@", "MX"),
    ("*.wild", "A"),
    ("www", "NSEC"),
    ("www.sub", "A"),
    ("sub", "DS"),
    ("sub", "A"),
)
"""Asked of some as well."""

Make = Callable[[Tree, str], None]
CASES: dict[str, Make] = {}


def case(make: Make) -> Make:
    CASES[make.__name__.replace("_", "-")] = make
    return make


def key_of(zone: ServedZone) -> SigningKey:
    return zone.keys[0]


def sign_again(zone: ServedZone, owner: str, kind: str, change: Callable[[RRset], RRset], **fields: int) -> None:
    """Change a set, and sign it as its RRSIG would be with other fields."""
    key = key_of(zone)

    def edit(rrset: RRset) -> RRset:
        rrset = change(rrset)
        before = Signature(rrset.signatures[0])
        values = {
            name: fields.get(name, getattr(before, name))
            for name in ("labels", "original_ttl", "expiration", "inception", "tag", "algorithm")
        }
        head = rrsig_head(
            rrset.type,
            values["algorithm"],
            values["labels"],
            values["original_ttl"],
            values["expiration"],
            values["inception"],
            values["tag"],
            zone.origin,
        )
        return replace(rrset, signatures=(head + key.sign(signed_data(rrset, Signature(head))),))

    zone.change(owner, kind, edit)


def same(rrset: RRset) -> RRset:
    return rrset


def spoil(rrset: RRset) -> RRset:
    """With a bit of the signature changed."""
    return replace(rrset, signatures=tuple(one[:-1] + bytes((one[-1] ^ 1,)) for one in rrset.signatures))


def spoil_all(zone: ServedZone, *kinds: int) -> None:
    zone.sets = [spoil(one) if one.type in kinds else one for one in zone.sets]


def unsign(rrset: RRset) -> RRset:
    return replace(rrset, signatures=())


def only(kind: int, zone: ServedZone) -> list[RRset]:
    return [one for one in zone.sets if one.type == kind]


# What is right


@case
def good(tree: Tree, name: str) -> None:
    tree.add(f"sub.{name}", "www A 192.0.2.7")
    tree.add(name, BODY)


@case
def good_unsigned_child(tree: Tree, name: str) -> None:
    tree.add(f"sub.{name}", "www A 192.0.2.7", signed=False)
    tree.add(name, BODY)


for number in (5, 7, 8, 10, 13, 14, 15, 16):

    def algorithm(tree: Tree, name: str, number: int = number) -> None:
        tree.add(name, BODY, algorithm=number)

    algorithm.__name__ = f"good_algorithm_{number}"
    case(algorithm)

for label, nsec3 in {
    "nsec3": Nsec3Settings(),
    "nsec3_salt": Nsec3Settings(b"\xab\xcd", 10),
    "nsec3_100": Nsec3Settings(b"", 100),
    "nsec3_optout": Nsec3Settings(opt_out=True),
}.items():

    def scheme(tree: Tree, name: str, nsec3: Nsec3Settings = nsec3) -> None:
        tree.add(f"sub.{name}", "www A 192.0.2.7", signed=False)
        tree.add(name, BODY, nsec3=nsec3)

    scheme.__name__ = f"good_{label}"
    case(scheme)


@case
def nsec3_too_many(tree: Tree, name: str) -> None:
    tree.add(name, BODY, nsec3=Nsec3Settings(b"", 500))


@case
def good_ksk_zsk(tree: Tree, name: str) -> None:
    origin = name_from_text(name)
    keys = [make_key(origin, 13), make_key(origin, 13, 2, False), make_key(origin, 13, 3, False)]
    tree.add(name, BODY, keys=keys)


@case
def good_two_algorithms(tree: Tree, name: str) -> None:
    origin = name_from_text(name)
    tree.add(name, BODY, keys=[make_key(origin, 8), make_key(origin, 13)])


@case
def good_standby(tree: Tree, name: str) -> None:
    origin = name_from_text(name)
    tree.add(name, BODY, keys=[make_key(origin, 13)], published=[make_key(origin, 13, 9)])


@case
def good_ds_sha1(tree: Tree, name: str) -> None:
    with_digests(tree, name, SHA1)


@case
def good_ds_sha384(tree: Tree, name: str) -> None:
    with_digests(tree, name, SHA384)


@case
def good_ds_both(tree: Tree, name: str) -> None:
    with_digests(tree, name, SHA1, SHA256)


def with_digests(tree: Tree, name: str, *kinds: int) -> None:
    key = make_key(name_from_text(name), 13)
    tree.add(name, BODY, keys=[key], ds=[ds_from_key(key.zone, key.key, kind) for kind in kinds])


@case
def good_ds_and_stale_ds(tree: Tree, name: str) -> None:
    key, other = make_key(name_from_text(name), 13), make_key(name_from_text(name), 13, 5)
    tree.add(name, BODY, keys=[key], ds=[ds_from_key(key.zone, one.key) for one in (other, key)])


@case
def good_ds_and_unknown(tree: Tree, name: str) -> None:
    key = make_key(name_from_text(name), 13)
    tree.add(name, BODY, keys=[key], ds=[Ds(1, 200, 2, bytes(32)), ds_from_key(key.zone, key.key)])


@case
def good_mixed_case(tree: Tree, name: str) -> None:
    tree.add(name, BODY + "UPPER MX 10 WWW.Example.\n")


@case
def good_revoked_beside(tree: Tree, name: str) -> None:
    key, old = make_key(name_from_text(name), 13), make_key(name_from_text(name), 13, 5)
    tree.add(name, BODY, keys=[key], published=[revoked(old)])


@case
def good_low_original_ttl(tree: Tree, name: str) -> None:
    sign_again(tree.add(name, BODY), "www", "A", same, original_ttl=60)


# What is not signed, as far as anybody can tell


@case
def insecure(tree: Tree, name: str) -> None:
    tree.add(name, BODY, signed=False)


@case
def insecure_island(tree: Tree, name: str) -> None:
    tree.add(name, BODY, with_ds=False)


@case
def insecure_unknown_algorithm(tree: Tree, name: str) -> None:
    tree.add(name, BODY, ds=[Ds(1, 200, 2, bytes(32))])


@case
def insecure_unknown_digest(tree: Tree, name: str) -> None:
    key = make_key(name_from_text(name))
    tree.add(name, BODY, keys=[key], ds=[Ds(key.key.tag, key.key.algorithm, 250, bytes(32))])


@case
def insecure_gost_digest(tree: Tree, name: str) -> None:
    key = make_key(name_from_text(name))
    tree.add(name, BODY, keys=[key], ds=[Ds(key.key.tag, key.key.algorithm, 3, bytes(32))])


@case
def insecure_private_algorithm(tree: Tree, name: str) -> None:
    tree.add(name, BODY, ds=[Ds(1, 253, 2, bytes(32)), Ds(2, 254, 2, bytes(32))])


# What is wrong


@case
def expired(tree: Tree, name: str) -> None:
    tree.add(name, BODY, start=-40 * DAY, life=30 * DAY)


@case
def expired_one_set(tree: Tree, name: str) -> None:
    sign_again(tree.add(name, BODY), "www", "A", same, expiration=int(tree.wall) - 5 * DAY, inception=1)


@case
def future(tree: Tree, name: str) -> None:
    tree.add(name, BODY, start=20 * DAY, life=30 * DAY)


@case
def future_one_set(tree: Tree, name: str) -> None:
    start = int(tree.wall) + 5 * DAY
    sign_again(tree.add(name, BODY), "www", "A", same, inception=start, expiration=start + 10 * DAY)


@case
def expired_before_valid(tree: Tree, name: str) -> None:
    now = int(tree.wall)
    sign_again(tree.add(name, BODY), "www", "A", same, inception=now + 60, expiration=now + 30)


@case
def wrong_signature(tree: Tree, name: str) -> None:
    tree.add(name, BODY).change("www", "A", spoil)


@case
def wrong_key_signature(tree: Tree, name: str) -> None:
    spoil_all(tree.add(name, BODY), DNSKEY)


@case
def wrong_soa_signature(tree: Tree, name: str) -> None:
    spoil_all(tree.add(name, BODY), SOA)


@case
def wrong_nsec_signatures(tree: Tree, name: str) -> None:
    spoil_all(tree.add(name, BODY), NSEC)


@case
def wrong_nsec3_signatures(tree: Tree, name: str) -> None:
    spoil_all(tree.add(name, BODY, nsec3=Nsec3Settings()), NSEC3)


@case
def altered_data(tree: Tree, name: str) -> None:
    tree.add(name, BODY).change("www", "A", lambda one: replace(one, data=(b"\xc0\0\2\x63",)))


@case
def record_added(tree: Tree, name: str) -> None:
    tree.add(name, BODY).change("www", "A", lambda one: replace(one, data=(*one.data, b"\xc0\0\2\x63")))


@case
def record_lost(tree: Tree, name: str) -> None:
    tree.add(name, BODY).change("www", "A", lambda one: replace(one, data=one.data[:1]))


@case
def unsigned_set(tree: Tree, name: str) -> None:
    tree.add(name, BODY).change("www", "A", unsign)


@case
def unsigned_wildcard(tree: Tree, name: str) -> None:
    tree.add(name, BODY).change("*.wild", "A", unsign)


@case
def unsigned_keys(tree: Tree, name: str) -> None:
    tree.add(name, BODY).change("@", "DNSKEY", unsign)


@case
def unsigned_nsecs(tree: Tree, name: str) -> None:
    zone = tree.add(name, BODY)
    zone.sets = [unsign(one) if one.type == NSEC else one for one in zone.sets]


@case
def unsigned_whole(tree: Tree, name: str) -> None:
    """A DS, and a zone that is not signed."""
    key = make_key(name_from_text(name))
    tree.add(name, BODY, signed=False, ds=[ds_from_key(key.zone, key.key)])


@case
def no_nsecs(tree: Tree, name: str) -> None:
    zone = tree.add(name, BODY)
    zone.sets = [one for one in zone.sets if one.type != NSEC]


@case
def no_nsec3s(tree: Tree, name: str) -> None:
    zone = tree.add(name, BODY, nsec3=Nsec3Settings())
    zone.sets = [one for one in zone.sets if one.type != NSEC3]


@case
def no_keys(tree: Tree, name: str) -> None:
    zone = tree.add(name, BODY)
    zone.sets = [one for one in zone.sets if one.type != DNSKEY]


@case
def ds_of_other_key(tree: Tree, name: str) -> None:
    other = make_key(name_from_text(name), seed=7)
    tree.add(name, BODY, ds=[ds_from_key(other.zone, other.key)])


@case
def ds_wrong_digest(tree: Tree, name: str) -> None:
    key = make_key(name_from_text(name))
    tree.add(name, BODY, keys=[key], ds=[ds_from_key(key.zone, key.key)._replace(digest=bytes(32))])


@case
def ds_wrong_algorithm(tree: Tree, name: str) -> None:
    key = make_key(name_from_text(name))
    tree.add(name, BODY, keys=[key], ds=[ds_from_key(key.zone, key.key)._replace(algorithm=13)])


@case
def ds_wrong_tag(tree: Tree, name: str) -> None:
    key = make_key(name_from_text(name))
    tree.add(name, BODY, keys=[key], ds=[ds_from_key(key.zone, key.key)._replace(tag=key.key.tag ^ 1)])


@case
def ds_sha256_wrong_sha1_right(tree: Tree, name: str) -> None:
    key = make_key(name_from_text(name))
    wrong = ds_from_key(key.zone, key.key)._replace(digest=bytes(32))
    tree.add(name, BODY, keys=[key], ds=[wrong, ds_from_key(key.zone, key.key, SHA1)])


@case
def ds_of_missing_algorithm(tree: Tree, name: str) -> None:
    """Two DS, the zone has a key for one of them: one path suffices (RFC 6840 5.11)."""
    key, other = make_key(name_from_text(name)), make_key(name_from_text(name), 13)
    tree.add(name, BODY, keys=[key], ds=[ds_from_key(key.zone, one.key) for one in (key, other)])


def with_flags(key: SigningKey, flags: int, protocol: int = 3) -> SigningKey:
    return replace(key, key=Key(flags.to_bytes(2, "big") + bytes((protocol,)) + key.key.data[3:]))


@case
def no_zone_key_bit(tree: Tree, name: str) -> None:
    tree.add(name, BODY, keys=[with_flags(make_key(name_from_text(name)), 0x0001)])


@case
def wrong_protocol(tree: Tree, name: str) -> None:
    tree.add(name, BODY, keys=[with_flags(make_key(name_from_text(name)), 0x0101, 4)])


@case
def revoked_key(tree: Tree, name: str) -> None:
    tree.add(name, BODY, keys=[with_flags(make_key(name_from_text(name)), 0x0181)])


@case
def entry_point_bit_unset(tree: Tree, name: str) -> None:
    """The bit is a hint: a DS may name any zone key (RFC 4034 2.1.1)."""
    key = make_key(name_from_text(name), is_entry_point=False)
    tree.add(name, BODY, keys=[key], ds=[ds_from_key(key.zone, key.key)])


@case
def keys_signed_by_zsk_only(tree: Tree, name: str) -> None:
    origin = name_from_text(name)
    entry, signing = make_key(origin, 13), make_key(origin, 13, 2, False)
    zone = tree.add(name, BODY, keys=[entry, signing])
    start = int(tree.wall) - DAY
    zone.change("@", "DNSKEY", lambda one: sign_set(one, [signing], start, start + 10 * DAY))


@case
def signed_by_unknown_key(tree: Tree, name: str) -> None:
    stranger = make_key(name_from_text(name), seed=8)
    start = int(tree.wall) - DAY
    tree.add(name, BODY).change("www", "A", lambda one: sign_set(one, [stranger], start, start + 10 * DAY))


@case
def signed_by_parent(tree: Tree, name: str) -> None:
    parent_key = make_key(name_from_text("cases."))
    start = int(tree.wall) - DAY
    tree.add(name, BODY).change("www", "A", lambda one: sign_set(one, [parent_key], start, start + 10 * DAY))


@case
def unknown_signature_beside(tree: Tree, name: str) -> None:
    """A signature of an algorithm that nobody knows stands before the right one."""

    def edit(rrset: RRset) -> RRset:
        first = rrset.signatures[0]
        return replace(rrset, signatures=(first[:2] + b"\xc8" + first[3:], first))

    tree.add(name, BODY).change("www", "A", edit)


@case
def unknown_signature_only(tree: Tree, name: str) -> None:
    def edit(rrset: RRset) -> RRset:
        return replace(rrset, signatures=tuple(one[:2] + b"\xc8" + one[3:] for one in rrset.signatures))

    tree.add(name, BODY).change("www", "A", edit)


@case
def broken_signature_beside(tree: Tree, name: str) -> None:
    def edit(rrset: RRset) -> RRset:
        return replace(rrset, signatures=(*spoil(rrset).signatures, *rrset.signatures))

    tree.add(name, BODY).change("www", "A", edit)


@case
def too_many_labels(tree: Tree, name: str) -> None:
    sign_again(tree.add(name, BODY), "www", "A", same, labels=9)


@case
def too_few_labels(tree: Tree, name: str) -> None:
    """As if `www` had come from a wildcard at the apex, though it exists."""
    sign_again(tree.add(name, BODY), "www", "A", same, labels=2)


def labels_above_zone(tree: Tree, name: str) -> None:
    """No server loads this one."""
    sign_again(tree.add(name, BODY), "www", "A", same, labels=1)


@case
def high_original_ttl(tree: Tree, name: str) -> None:
    sign_again(tree.add(name, BODY), "www", "A", same, original_ttl=7200)


def edit_types(kinds_to_add: set[int], kinds_to_remove: set[int]) -> Callable[[RRset], RRset]:
    def edit(rrset: RRset) -> RRset:
        data = rrset.data[0]
        end = skip_name(data, 0)
        kinds = (set(unpack_types(data[end:])) | kinds_to_add) - kinds_to_remove
        return replace(rrset, data=(data[:end] + pack_types(kinds),))

    return edit


@case
def nsec_says_type_exists(tree: Tree, name: str) -> None:
    sign_again(tree.add(name, BODY), "www", "NSEC", edit_types({16}, set()))


@case
def nsec_says_alias(tree: Tree, name: str) -> None:
    sign_again(tree.add(name, BODY), "www", "NSEC", edit_types({5}, set()))


@case
def nsec_says_cut(tree: Tree, name: str) -> None:
    """`www` looks like a delegation: what is denied below or at it counts for nothing."""
    sign_again(tree.add(name, BODY), "www", "NSEC", edit_types({2}, {1}))


@case
def nsec_chain_broken(tree: Tree, name: str) -> None:
    """The NSEC before `no` leads to a name before it, without covering it."""

    def edit(rrset: RRset) -> RRset:
        data = rrset.data[0]
        following = name_from_text("d", name_from_text(name))
        return replace(rrset, data=(following + data[skip_name(data, 0) :],))

    zone = tree.add(name, BODY)
    sign_again(zone, "a.b.c", "NSEC", edit)


@case
def nsec_next_outside(tree: Tree, name: str) -> None:
    def edit(rrset: RRset) -> RRset:
        data = rrset.data[0]
        return replace(rrset, data=(name_from_text("zzz.") + data[skip_name(data, 0) :],))

    zone = tree.add(name, BODY)
    for one in only(NSEC, zone):
        owner = one.name

        def is_it(rrset: RRset, owner: bytes = owner) -> RRset:
            return edit(rrset) if rrset.name == owner else rrset

        label = ".".join(part.decode() for part in _labels_below(owner, zone.origin)) or "@"
        sign_again(zone, label, "NSEC", is_it)


def _labels_below(owner: bytes, origin: bytes) -> list[bytes]:
    found, at = [], 0
    while owner[at:] != origin:
        found.append(owner[at + 1 : at + 1 + owner[at]])
        at += 1 + owner[at]
    return found


# Cuts, aliases and wildcards in odd places

SCHEMES: dict[str, Nsec3Settings | None] = {
    "": None,
    "_nsec3": Nsec3Settings(b"\x01", 1),
    "_optout": Nsec3Settings(opt_out=True),
}
for label, either in SCHEMES.items():

    def cut_below_empty(tree: Tree, name: str, nsec3: Nsec3Settings | None = either) -> None:
        """The child is two labels below, and the name between is empty."""
        tree.add(f"www.sub.{name}", "@ A 192.0.2.7", nsec3=nsec3)
        tree.add(name, BODY, nsec3=nsec3)

    def unsigned_cut_below_empty(tree: Tree, name: str, nsec3: Nsec3Settings | None = either) -> None:
        tree.add(f"www.sub.{name}", "@ A 192.0.2.7", signed=False)
        tree.add(name, BODY, nsec3=nsec3)

    def wildcard_at_apex(tree: Tree, name: str, nsec3: Nsec3Settings | None = either) -> None:
        tree.add(name, BODY + "* A 192.0.2.66\n", nsec3=nsec3)

    def wildcard_alias(tree: Tree, name: str, nsec3: Nsec3Settings | None = either) -> None:
        tree.add(name, BODY + "* CNAME www\n", nsec3=nsec3)

    def wildcard_away(tree: Tree, name: str, nsec3: Nsec3Settings | None = either) -> None:
        tree.add(name, BODY + "* CNAME www.insecure.cases.\n", nsec3=nsec3)

    def dname_at_apex(tree: Tree, name: str, nsec3: Nsec3Settings | None = either) -> None:
        tree.add(name, "@ DNAME good.cases.\n", nsec3=nsec3)

    def signed_below_unsigned(tree: Tree, name: str, nsec3: Nsec3Settings | None = either) -> None:
        """An island: its parent has its DS, but is itself without."""
        tree.add(f"sub.{name}", "www A 192.0.2.7", nsec3=nsec3)
        tree.add(name, BODY, nsec3=nsec3, with_ds=False)

    def bogus_child(tree: Tree, name: str, nsec3: Nsec3Settings | None = either) -> None:
        tree.add(f"sub.{name}", "www A 192.0.2.7", nsec3=nsec3, start=-40 * DAY)
        tree.add(name, BODY + "alias2 CNAME www.sub\n", nsec3=nsec3)

    for make in (
        *(cut_below_empty, unsigned_cut_below_empty, wildcard_at_apex, wildcard_alias, wildcard_away),
        *(dname_at_apex, signed_below_unsigned, bogus_child),
    ):
        make.__name__ += label
        case(make)


@case
def alias_to_bogus(tree: Tree, name: str) -> None:
    tree.add(
        name, "www CNAME www.wrong-signature.cases.\nno CNAME no.no-nsec3s.cases.\n*.wild CNAME www.expired.cases.\n"
    )


@case
def alias_to_insecure(tree: Tree, name: str) -> None:
    tree.add(
        name, "www CNAME www.insecure.cases.\nno CNAME no.insecure-island.cases.\n*.wild CNAME no.insecure.cases.\n"
    )


def without_nsec3_of(zone: ServedZone, *owners: str) -> None:
    """Without the records that match, or cover, these names."""
    for owner in owners:
        digest = nsec3_hash(name_from_text(owner, zone.origin), b"", 0)
        gone = [rrset for rrset, nsec3 in zone.nsec3s() if nsec3.owner == digest or nsec3.covers(digest)]
        zone.sets = [one for one in zone.sets if one not in gone]


@case
def nsec3_closest_encloser_lost(tree: Tree, name: str) -> None:
    without_nsec3_of(tree.add(name, BODY, nsec3=Nsec3Settings()), "@")


@case
def nsec3_next_closer_lost(tree: Tree, name: str) -> None:
    without_nsec3_of(tree.add(name, BODY, nsec3=Nsec3Settings()), "no", "x.wild", "y.wild")


@case
def nsec3_wildcard_lost(tree: Tree, name: str) -> None:
    without_nsec3_of(tree.add(name, BODY, nsec3=Nsec3Settings()), "*")


def edit_nsec3s(zone: ServedZone, edit: Callable[[bytes], bytes]) -> None:
    """Change the data of all NSEC3 records, and sign them again."""
    start = int(zone.wall) - DAY
    zone.sets = [
        sign_set(replace(one, data=(edit(one.data[0]),)), zone.keys[:1], start, start + 10 * DAY)
        if one.type == NSEC3
        else one
        for one in zone.sets
    ]


@case
def nsec3_unknown_flags(tree: Tree, name: str) -> None:
    edit_nsec3s(tree.add(name, BODY, nsec3=Nsec3Settings()), lambda data: data[:1] + b"\x80" + data[2:])


@case
def nsec3_denies_what_exists(tree: Tree, name: str) -> None:
    """Every record says that its name has no types."""
    edit_nsec3s(tree.add(name, BODY, nsec3=Nsec3Settings()), lambda data: data[:26])


def make_forest(wall: float) -> Tree:
    """All cases as zones below `cases.`, two levels below the root."""
    tree = Tree(wall)
    for label, make in CASES.items():
        make(tree, f"{label}.cases.")
    tree.add("cases.", "www A 192.0.2.8")
    tree.add(".", "ns.invalid A 127.0.0.1")
    return tree
