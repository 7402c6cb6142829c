"""Writes the scenarios of signed zones: `python -m tests.dns.scenarios.signed` replaces those under `validator/`.

Keys are made from fixed seeds and Ed25519 signs the same each time, so the files come out the same. What a server
answers is what our authority answers for the zone, tampered with where the scenario says so; what a client must get is
written here, from the RFCs.
"""

from __future__ import annotations

import calendar
import random
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from catenet.dns.dnssec import Nsec3Settings, SigningKey, SigningSettings, generate_key, sign_zone
from catenet.dns.dnssec.keys import Ds, ds_from_key
from catenet.dns.master.reader import read_records
from catenet.dns.response import Response
from catenet.dns.rrset import RRset, records_of
from catenet.dns.zone import Zone
from catenet.testing.rpl.compare import record_to_text
from catenet.wire.dns.message import Question
from catenet.wire.dns.name import fold, name_from_text, name_to_text
from catenet.wire.dns.numbers import (
    AA,
    DS,
    NSEC,
    NSEC3,
    flags_to_text,
    rcode_to_text,
    type_from_text,
    type_to_text,
)

FOLDER = Path(__file__).parent / "validator"
DATE = "20250615120000"
WALL = calendar.timegm(time.strptime(DATE, "%Y%m%d%H%M%S"))
DAY = 86_400
APEX = "@ 3600 IN SOA ns host 1 7200 3600 1209600 300\n@ 3600 IN NS ns\nns 3600 IN A {address}\n"
EXAMPLE = """
www 3600 IN A 192.0.2.80
mail 3600 IN MX 10 www
*.wild 3600 IN TXT "from the wildcard"
alias 3600 IN CNAME www
away 3600 IN CNAME www.unsigned.example.
name.below.empty 3600 IN A 192.0.2.81
old 3600 IN DNAME new.example.
www.new 3600 IN A 192.0.2.82
unsigned 3600 IN NS ns.unsigned
ns.unsigned 3600 IN A 192.0.2.3
"""
Tamper = Callable[[Response], Response]


def key(zone: str, seed: int = 1, algorithm: int = 15) -> SigningKey:
    """A key from a fixed seed."""
    rng = random.Random(f"{zone} {seed} {algorithm}")
    return generate_key(name_from_text(zone), algorithm, is_entry_point=True, entropy=rng.randbytes)


def zone(
    origin: str,
    text: str,
    address: str,
    *,
    keys: list[SigningKey] | None = None,
    nsec3: Nsec3Settings | None = None,
    days: tuple[int, int] = (-14, 14),
    extra: tuple[RRset, ...] = (),
) -> Zone:
    """A zone from master-file lines, signed if there are keys; `days` are those of the signatures, from now."""
    name = name_from_text(origin)
    sets = [*read_records(APEX.format(address=address) + text, name), *extra]
    if keys:
        settings = SigningSettings(WALL + days[0] * DAY, WALL + days[1] * DAY, nsec3=nsec3)
        sets = sign_zone(sets, name, keys, settings)
    return Zone(name, sets)


@dataclass
class Ask:
    """A question of a client, and what it must get.

    Attributes:
        question: `www.example. A`.
        rcode, flags: of the answer; `flags` are words besides QR, RD and RA.
        asked: words of the query besides RD.
        answer: records; None: those of the zone.
        served: a server has an entry for it; otherwise the resolver has to know by itself.
        wait: seconds that pass before.
    """

    question: str
    rcode: str = "NOERROR"
    flags: str = "AD"
    asked: str = "DO"
    answer: list[str] | None = None
    served: bool = True
    tamper: Tamper | None = None
    wait: int = 0


@dataclass
class Case:
    """A scenario: its name, what it is about, zones by the addresses of their servers, what is asked."""

    name: str
    about: str
    asks: list[Ask]
    zones: dict[str, Zone] = field(default_factory=dict)
    anchors: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    also: list[tuple[str, str, Tamper | None]] = field(default_factory=list)
    """Questions that the resolver asks by itself: address, question, what is done to the answer."""


KEY = key("example.")
SUB_KEY = key("sub.example.")
SIGNED = zone("example.", EXAMPLE, "192.0.2.2", keys=[KEY])
HASHED = zone("example.", EXAMPLE, "192.0.2.2", keys=[KEY], nsec3=Nsec3Settings())
OPTED_OUT = zone("example.", EXAMPLE, "192.0.2.2", keys=[KEY], nsec3=Nsec3Settings(opt_out=True))
COSTLY = zone("example.", EXAMPLE, "192.0.2.2", keys=[KEY], nsec3=Nsec3Settings(b"\xab", 500))
UNSIGNED = zone("unsigned.example.", "www 3600 IN A 192.0.2.90\n", "192.0.2.3")
SUB = "www 3600 IN A 192.0.2.91\n"
DELEGATION = "sub 3600 IN NS ns.sub\nns.sub 3600 IN A 192.0.2.4\n"
WWW = "www.example. 3600 IN A 192.0.2.80"
ANCHOR = f"example. 3600 IN DS {ds_from_key(KEY.zone, KEY.key).to_text()}"


def with_sub(*digests: Ds, text: str = EXAMPLE) -> Zone:
    """`example.` with a delegation of `sub.example.`, and these DS records."""
    name = name_from_text("sub.example.")
    extra = (RRset(name, DS, 3600, tuple(one.data for one in digests)),) if digests else ()
    return zone("example.", text + DELEGATION, "192.0.2.2", keys=[KEY], extra=extra)


def sub(*keys: SigningKey) -> Zone:
    """The zone `sub.example.`."""
    return zone("sub.example.", SUB, "192.0.2.4", keys=list(keys))


# What is done to answers.


def without(*kinds: int) -> Tamper:
    """Sets of these types are left out of the authority section."""
    return lambda response: replace(response, authority=[one for one in response.authority if one.type not in kinds])


def without_owner(*owners: str) -> Tamper:
    """Sets of these owners are left out of the authority section."""
    names = {fold(name_from_text(owner)) for owner in owners}
    return lambda response: replace(
        response, authority=[one for one in response.authority if fold(one.name) not in names]
    )


def without_proof(number: int) -> Tamper:
    """The proof of this number is left out of the authority section."""

    def change(response: Response) -> Response:
        proofs = [one for one in response.authority if one.type in (NSEC, NSEC3)]
        return replace(response, authority=[one for one in response.authority if one is not proofs[number]])

    return change


def unsigned(response: Response) -> Response:
    """No signatures."""
    return replace(
        response,
        answer=[replace(one, signatures=()) for one in response.answer],
        authority=[replace(one, signatures=()) for one in response.authority],
    )


def _each_signature(change: Callable[[bytes], bytes]) -> Tamper:
    def tamper(response: Response) -> Response:
        changed = [replace(one, signatures=tuple(map(change, one.signatures))) for one in response.answer]
        return replace(response, answer=changed)

    return tamper


wrong_signature = _each_signature(lambda data: data[:-1] + bytes((data[-1] ^ 1,)))
other_tag = _each_signature(lambda data: data[:16] + bytes((data[16] ^ 1,)) + data[17:])
other_signer = _each_signature(lambda data: data[:18] + name_from_text("other.") + data[18 + len(KEY.zone) :])
more_labels = _each_signature(lambda data: data[:3] + bytes((data[3] + 1,)) + data[4:])
other_algorithm = _each_signature(lambda data: data[:2] + b"\x0d" + data[3:])


def twice_signed(response: Response) -> Response:
    """A signature of nobody's before the right one."""
    extra = [
        replace(one, signatures=(one.signatures[0][:-1] + b"\0", *one.signatures)) if one.signatures else one
        for one in response.answer
    ]
    return replace(response, answer=extra)


def other_data(response: Response) -> Response:
    """The data of the first set are forged."""
    first = response.answer[0]
    return replace(response, answer=[replace(first, data=(bytes((192, 0, 2, 66)),)), *response.answer[1:]])


def longer_ttl(response: Response) -> Response:
    """A TTL beyond what was signed."""
    return replace(response, answer=[replace(one, ttl=86_000) for one in response.answer])


def proofs_of(other: str, where: Zone = SIGNED) -> Tamper:
    """The authority section of another question's answer."""
    return lambda response: replace(response, authority=_answer(where, other).authority)


def as_denial(response: Response) -> Response:
    """The answer is turned into NXDOMAIN."""
    return replace(response, rcode=3, answer=[])


def _question(text: str) -> Question:
    name, kind = text.split()
    return Question(name_from_text(name), type_from_text(kind))


def _answer(where: Zone, text: str) -> Response:
    return where.answer(_question(text), True)


def simple(name: str, about: str, *asks: Ask, where: Zone = SIGNED, **more: object) -> Case:
    """A case of the zone `example.` and its unsigned child."""
    settings = more.pop("settings", [])
    assert isinstance(settings, list) and not more
    return Case(name, about, list(asks), {"192.0.2.2": where, "192.0.2.3": UNSIGNED}, [ANCHOR], settings)


def cases() -> Iterator[Case]:
    """All scenarios."""
    yield from _positive()
    yield from _negative("nsec", SIGNED, "RFC 4035 5.4")
    yield from _negative("nsec3", HASHED, "RFC 5155 8")
    yield from _nsec_alone()
    yield from _nsec3_alone()
    yield from _bogus()
    yield from _delegations()
    yield from _use_of_denials()


def _positive() -> Iterator[Case]:
    www = Ask("www.example. A")
    yield simple("positive", "RFC 4035 5.3: what a chain of signatures leads to from an anchor is secure.", www)
    yield simple(
        "positive_without_do",
        "RFC 4035 3.2.1: who does not set DO gets no signatures; RFC 6840 5.8: nor AD.",
        Ask("www.example. A", flags="", asked="", answer=[WWW]),
    )
    yield simple(
        "positive_with_ad_asked",
        "RFC 6840 5.7: who sets AD in a query wants to know, without signatures.",
        Ask("www.example. A", asked="AD", answer=[WWW]),
    )
    yield simple("alias", "RFC 4035 5.3: an alias and its target are secure.", Ask("alias.example. A"))
    yield simple(
        "alias_to_unsigned",
        "RFC 4035 3.2.3: an answer of which a part is not secure has no AD.",
        Ask("away.example. A", flags="", answer=[*_lines(_answer(SIGNED, "away.example. A").answer), _unsigned_www()]),
    )
    yield simple("dname", "RFC 6672 5.3.1: a signed DNAME makes the unsigned CNAME secure.", Ask("www.old.example. A"))
    yield simple("wildcard", "RFC 4035 5.3.4: a wildcard's answer, with the proof that the name itself does not exist.",
                 Ask("x.wild.example. TXT"))  # fmt: skip
    yield simple(
        "wildcard_without_proof",
        "RFC 4035 5.3.4: a wildcard's answer needs that proof.",
        Ask("x.wild.example. TXT", "SERVFAIL", "", tamper=without(NSEC)),
    )
    ed448 = key("example.", algorithm=16)
    yield Case(
        "ed448",
        "RFC 8080 2: algorithm 16.",
        [Ask("www.example. A")],
        {"192.0.2.2": zone("example.", EXAMPLE, "192.0.2.2", keys=[ed448])},
        [f"example. 3600 IN DS {ds_from_key(ed448.zone, ed448.key).to_text()}"],
    )
    yield simple(
        "two_signatures",
        "RFC 4035 5.3.3: one signature that is right is enough.",
        Ask(
            "www.example. A", tamper=twice_signed, answer=_lines(twice_signed(_answer(SIGNED, "www.example. A")).answer)
        ),
    )
    short = [WWW]
    yield simple(
        "ttl_is_capped",
        "RFC 4035 5.3.3: the TTL is no longer than the one that was signed.",
        Ask("www.example. A", asked="AD", tamper=longer_ttl, answer=short),
    )
    yield Case(
        "anchor_as_key",
        "RFC 4035 5: an anchor may be the key itself.",
        [Ask("www.example. A")],
        {"192.0.2.2": SIGNED},
        [f"example. 3600 IN DNSKEY {KEY.key.to_text()}"],
    )


def _negative(kind: str, where: Zone, source: str) -> Iterator[Case]:
    """What is the same for both kinds of proofs."""
    denial = NSEC if kind == "nsec" else NSEC3
    gone, none, wild = Ask("none.example. A", "NXDOMAIN"), Ask("www.example. MX"), Ask("x.wild.example. A")
    yield simple(f"{kind}_no_name", f"{source}: a name that does not exist.", gone, where=where)
    yield simple(f"{kind}_no_data", f"{source}: a type that a name does not have.", none, where=where)
    yield simple(
        f"{kind}_empty_nonterminal",
        f"{source}: a name that only has names below it.",
        Ask("empty.example. A"),
        where=where,
    )
    yield simple(f"{kind}_wildcard_no_data", f"{source}: a type that the wildcard does not have.", wild, where=where)
    yield simple(
        f"{kind}_no_name_unproven",
        f"{source}: NXDOMAIN without proofs is bogus.",
        Ask("none.example. A", "SERVFAIL", "", tamper=without(denial)),
        where=where,
    )
    yield simple(
        f"{kind}_no_data_unproven",
        f"{source}: NODATA without a proof is bogus.",
        Ask("www.example. MX", "SERVFAIL", "", tamper=without(denial)),
        where=where,
    )
    yield simple(
        f"{kind}_proof_unsigned",
        f"{source}: a proof that nobody signs proves nothing.",
        Ask("none.example. A", "SERVFAIL", "", tamper=unsigned),
        where=where,
    )
    yield simple(
        f"{kind}_bitmap_has_the_type",
        f"{source}: a proof that shows the type cannot deny it.",
        Ask("www.example. A", "SERVFAIL", "", tamper=lambda response: replace(_answer(where, "www.example. MX"))),
        where=where,
    )
    yield simple(
        f"{kind}_proof_of_another_name",
        f"{source}: a proof about another name.",
        Ask("www.example. MX", "SERVFAIL", "", tamper=proofs_of("mail.example. A", where)),
        where=where,
    )
    yield simple(
        f"{kind}_denial_of_what_is_there",
        f"{source}: NXDOMAIN with the proofs of NODATA.",
        Ask("www.example. A", "SERVFAIL", "", tamper=lambda response: as_denial(_answer(where, "www.example. MX"))),
        where=where,
    )


def _nsec_alone() -> Iterator[Case]:
    proofs = [one for one in _answer(SIGNED, "none.example. A").authority if one.type == NSEC]
    assert len(proofs) == 2
    for number, what in enumerate(("name", "wildcard")):
        yield simple(
            f"nsec_no_name_{number + 1}_of_2",
            f"RFC 4035 5.4: NXDOMAIN needs proofs about the name and about the wildcard; one is missing ({what} or the "
            "other, in the order of the answer).",
            Ask("none.example. A", "SERVFAIL", "", tamper=without_proof(number)),
        )
    yield simple(
        "nsec_of_the_parent_side",
        "RFC 6840 4.1: the NSEC of a delegation denies the DS set alone; the rest is the child's, and insecure.",
        Ask("unsigned.example. A", flags="", answer=[]),
    )


def _nsec3_alone() -> Iterator[Case]:
    proofs = [one for one in _answer(HASHED, "none.example. A").authority if one.type == NSEC3]
    for number in range(len(proofs)):
        yield simple(
            f"nsec3_no_name_{number + 1}_of_{len(proofs)}",
            "RFC 5155 8.4: closest encloser, next closer name and wildcard must all be proved; one proof is missing.",
            Ask("none.example. A", "SERVFAIL", "", tamper=without_proof(number)),
            where=HASHED,
        )
    yield simple("nsec3_wildcard", "RFC 5155 8.8: a wildcard's answer, with the proof about the next closer name.",
                 Ask("x.wild.example. TXT"), where=HASHED)  # fmt: skip
    yield simple(
        "nsec3_wildcard_without_proof",
        "RFC 5155 8.8: a wildcard's answer needs that proof.",
        Ask("x.wild.example. TXT", "SERVFAIL", "", tamper=without(NSEC3)),
        where=HASHED,
    )
    yield simple(
        "nsec3_opt_out_delegation",
        "RFC 5155 8.9: below an opt-out range a delegation without DS is insecure.",
        Ask("www.unsigned.example. A", flags="", answer=[_unsigned_www()]),
        where=OPTED_OUT,
    )
    yield simple(
        "nsec3_opt_out_no_name",
        "RFC 5155 9.2: NXDOMAIN in an opt-out range has no AD: an insecure name may be there.",
        Ask("none.example. A", "NXDOMAIN", ""),
        where=OPTED_OUT,
    )
    yield simple(
        "nsec3_too_many_iterations",
        "RFC 9276 3.2: with more iterations than a validator does a denial is insecure.",
        Ask("none.example. A", "NXDOMAIN", ""),
        where=COSTLY,
    )


def _bogus() -> Iterator[Case]:
    def bogus(name: str, about: str, tamper: Tamper) -> Case:
        return simple(name, about, Ask("www.example. A", "SERVFAIL", "", tamper=tamper))

    yield bogus("signature_missing", "RFC 4035 5.3: an answer of a signed zone needs signatures.", unsigned)
    yield bogus("signature_wrong", "RFC 4035 5.3.3: a signature that does not match.", wrong_signature)
    yield bogus("data_forged", "RFC 4035 5.3.3: data that were not signed.", other_data)
    yield bogus("signature_of_another_key", "RFC 4035 5.3.1: no key has the tag of the signature.", other_tag)
    yield bogus("signature_of_another_zone", "RFC 4035 5.3.1: the signer is not the zone.", other_signer)
    yield bogus("signature_of_another_algorithm", "RFC 4035 5.3.1: no key has the algorithm.", other_algorithm)
    yield bogus("signature_with_more_labels", "RFC 4035 5.3.1: more labels than the owner has.", more_labels)
    for name, days in (("expired", (-30, -5)), ("not_yet_valid", (5, 30))):
        yield simple(
            f"signature_{name}",
            "RFC 4035 5.3.1: the time must be within those of the signature.",
            Ask("www.example. A", "SERVFAIL", ""),
            where=zone("example.", EXAMPLE, "192.0.2.2", keys=[KEY], days=days),
        )
    yield simple(
        "bogus_with_cd",
        "RFC 4035 3.2.2: who sets CD gets what has come, without AD.",
        Ask(
            "www.example. A",
            flags="CD",
            asked="CD",
            tamper=wrong_signature,
            answer=[WWW],
        ),
    )
    yield simple(
        "bogus_with_extended_error",
        "RFC 8914 4.8: why is said: the signature has expired.",
        Ask("www.example. A", "SERVFAIL", ""),
        where=zone("example.", EXAMPLE, "192.0.2.2", keys=[KEY], days=(-30, -5)),
        settings=["ede: yes"],
    )
    yield simple(
        "negative_anchor",
        "RFC 7646 1.1: below a negative trust anchor nothing is validated.",
        Ask("www.example. A", flags="", asked="", tamper=wrong_signature, answer=[WWW]),
        settings=['domain-insecure: "example."'],
    )
    other = key("example.", 2)
    yield Case(
        "anchor_of_another_key",
        "RFC 4035 5: no key of the zone is the anchor's.",
        [Ask("www.example. A", "SERVFAIL", "")],
        {"192.0.2.2": SIGNED},
        [f"example. 3600 IN DS {ds_from_key(other.zone, other.key).to_text()}"],
    )
    yield Case(
        "anchor_of_unknown_algorithm",
        "RFC 4035 5.2: an anchor of an algorithm that nobody knows makes its zone insecure.",
        [Ask("www.example. A", flags="")],
        {"192.0.2.2": SIGNED},
        ["example. 3600 IN DS 1 250 2 " + "00" * 32],
    )
    yield Case(
        "no_anchor",
        "RFC 4035 4.3: without an anchor above a name is not validated.",
        [Ask("www.example. A", flags="", tamper=wrong_signature)],
        {"192.0.2.2": SIGNED},
        [ANCHOR.replace("example.", "other.", 1)],
    )


def _delegations() -> Iterator[Case]:
    right = ds_from_key(SUB_KEY.zone, SUB_KEY.key)

    def case(name: str, about: str, ask: Ask, parent_zone: Zone, child: Zone) -> Case:
        also: list[tuple[str, str, Tamper | None]] = [("192.0.2.2", "sub.example. DS", None)]
        return Case(name, about, [ask], {"192.0.2.2": parent_zone, "192.0.2.4": child}, [ANCHOR], also=also)

    secure, failing = Ask("www.sub.example. A"), Ask("www.sub.example. A", "SERVFAIL", "")
    insecure = Ask("www.sub.example. A", flags="")
    yield case("delegation", "RFC 4035 5.2: a DS set leads to the child's key.", secure, with_sub(right), sub(SUB_KEY))
    yield case("delegation_unsigned", "RFC 4035 5.2: a delegation that provably has no DS set is insecure.",
               replace(insecure, answer=["www.sub.example. 3600 IN A 192.0.2.91"]), with_sub(), sub())  # fmt: skip
    yield case("delegation_signed_without_ds", "RFC 4035 5.2: signatures without a DS set above are no use.",
               insecure, with_sub(), sub(SUB_KEY))  # fmt: skip
    yield case("delegation_to_unsigned_child", "RFC 4035 5.2: with a DS set the child must be signed.",
               failing, with_sub(right), sub())  # fmt: skip
    yield case("delegation_to_another_key", "RFC 4035 5.2: the DS set is of another key.",
               failing, with_sub(right), sub(key("sub.example.", 2)))  # fmt: skip
    yield case("delegation_digest_wrong", "RFC 4035 5.2: the digest is not the key's.",
               failing, with_sub(right._replace(digest=bytes(32))), sub(SUB_KEY))  # fmt: skip
    yield case("delegation_unknown_algorithm", "RFC 4035 5.2: DS records of unknown algorithms alone are as none.",
               insecure, with_sub(right._replace(algorithm=250)), sub(SUB_KEY))  # fmt: skip
    yield case("delegation_unknown_digest", "RFC 6840 5.2: DS records of unknown digests alone are as none.",
               insecure, with_sub(right._replace(digest_type=250)), sub(SUB_KEY))  # fmt: skip
    yield case("delegation_two_ds", "RFC 4035 5.2: one DS record that matches is enough.",
               secure, with_sub(right._replace(digest=bytes(32)), right), sub(SUB_KEY))  # fmt: skip
    yield Case(
        "delegation_proof_in_the_referral",
        "RFC 4035 3.1.4, 5.2: the proof that there is no DS set comes with the referral; nobody is asked for it again.",
        [Ask("www.unsigned.example. A", flags="", answer=[_unsigned_www()])],
        {"192.0.2.2": SIGNED, "192.0.2.3": UNSIGNED},
        [ANCHOR],
        also=[("192.0.2.2", "unsigned.example. DS", lambda response: replace(response, rcode=2, authority=[]))],
    )


def _use_of_denials() -> Iterator[Case]:
    aggressive = ["aggressive-nsec: yes"]
    yield simple(
        "aggressive_no_name",
        "RFC 8198 5.1: a name in a range that is known to be empty does not exist; nobody is asked.",
        Ask("none.example. A", "NXDOMAIN"),
        Ask("nona.example. A", "NXDOMAIN", served=False, answer=[]),
        settings=aggressive,
    )
    yield simple(
        "aggressive_no_data",
        "RFC 8198 5.1: a type that a name is known not to have is not asked for.",
        Ask("www.example. MX"),
        Ask("www.example. TXT", served=False, answer=[]),
        settings=aggressive,
    )
    yield simple(
        "secure_cut",
        "RFC 8020 2: below a name that securely does not exist there is nothing.",
        Ask("none.example. A", "NXDOMAIN"),
        Ask("below.none.example. A", "NXDOMAIN", served=False, answer=[]),
        settings=["harden-below-nxdomain: yes"],
    )
    yield simple(
        "secure_from_cache",
        "RFC 4035 4.3: what was found secure stays so in the cache.",
        Ask("www.example. A"),
        Ask("www.example. A", wait=10),
    )
    yield simple(
        "denial_from_cache",
        "RFC 2308 5, RFC 4035 4.7: a secure denial is kept with its proofs.",
        Ask("none.example. A", "NXDOMAIN"),
        Ask("none.example. A", "NXDOMAIN", wait=10),
    )


def _unsigned_www() -> str:
    return "www.unsigned.example. 3600 IN A 192.0.2.90"


# Text.


def _lines(sets: list[RRset]) -> list[str]:
    return [record_to_text(record) for record in records_of(sets, True)]


def _section(name: str, lines: list[str]) -> list[str]:
    return [f"SECTION {name}", *lines] if lines else []


def _entry(question: str, response: Response, match: str = "opcode qtype qname", adjust: str = "copy_id") -> list[str]:
    flags = flags_to_text(AA * response.authoritative).upper()
    name, kind = question.split()
    return [
        "ENTRY_BEGIN",
        f"MATCH {match}",
        f"ADJUST {adjust}",
        f"REPLY QR DO {flags} {rcode_to_text(response.rcode)}".replace("  ", " "),
        *_section("QUESTION", [f"{name} IN {kind}"]),
        *_section("ANSWER", _lines(response.answer)),
        *_section("AUTHORITY", _lines(response.authority)),
        *_section("ADDITIONAL", _lines(response.additional)),
        "ENTRY_END",
    ]


def _served(case: Case) -> Iterator[str]:
    """A range for each server: what clients' questions lead to, keys, then referrals."""
    yield from _root(case)
    for address, where in case.zones.items():
        origin = name_to_text(where.origin)
        yield from ("", "RANGE_BEGIN 0 100", f"\tADDRESS {address}")
        for server, question, tamper in case.also:
            if server == address:
                yield from _entry(question, (tamper or (lambda response: response))(_answer(where, question)))
        done: set[str] = set()
        for ask in case.asks:
            if not ask.served or ask.question in done:
                continue
            done.add(ask.question)
            response = _answer(where, ask.question)
            if response.rcode == 5 or not _is_about(where, ask.question, response):
                continue
            yield from _entry(ask.question, response if ask.tamper is None else ask.tamper(response))
        for name in {ask.question.split()[0] for ask in case.asks if ask.tamper is not None}:
            response = _answer(where, f"{name} DS")  # a validator may look whether the name is in an unsigned zone
            if response.authoritative:
                yield from _entry(f"{name} DS", response)
        yield from _targets(case, where)
        yield from _entry(f"ns.{origin} AAAA", _answer(where, f"ns.{origin} AAAA"))
        yield from _entry(f"{origin} DNSKEY", _answer(where, f"{origin} DNSKEY"))
        yield from _referrals(where)
        yield "RANGE_END"


def _is_about(where: Zone, question: str, response: Response) -> bool:
    """Whether the zone itself answers, rather than refer below."""
    return response.authoritative or question.endswith(f"{name_to_text(where.origin)} DS")


def _targets(case: Case, where: Zone) -> Iterator[str]:
    """Targets of aliases, which are asked for by themselves."""
    for ask in case.asks:
        kind = ask.question.split()[1]
        sets = [one for each in case.zones.values() for one in _answer(each, ask.question).answer]
        for one in sets:
            if type_to_text(one.type) == "CNAME":
                target = f"{name_to_text(one.data[0])} {kind}"
                response = _answer(where, target)
                if response.authoritative:
                    yield from _entry(target, response)


def _referrals(where: Zone) -> Iterator[str]:
    for label in ("sub.example.", "unsigned.example."):
        response = (
            _answer(where, f"www.{label} A") if fold(name_from_text(label)) != fold(where.origin) else Response(5)
        )
        if response.rcode == 0 and not response.authoritative:
            yield from _entry(f"{label} NS", response, "opcode subdomain", "copy_id copy_query")


def _root(case: Case) -> Iterator[str]:
    yield from ("", "RANGE_BEGIN 0 100", "\tADDRESS 192.0.2.1")
    root = ["ENTRY_BEGIN", "MATCH opcode qtype qname", "ADJUST copy_id", "REPLY QR AA NOERROR", "SECTION QUESTION"]
    root += [". IN NS", "SECTION ANSWER", ". 3600 IN NS k.root-servers.net.", "SECTION ADDITIONAL"]
    yield from (*root, "k.root-servers.net. 3600 IN A 192.0.2.1", "ENTRY_END")
    refer = ["ENTRY_BEGIN", "MATCH opcode subdomain", "ADJUST copy_id copy_query", "REPLY QR NOERROR"]
    refer += ["SECTION QUESTION", "example. IN NS", "SECTION AUTHORITY", "example. 3600 IN NS ns.example."]
    yield from (*refer, "SECTION ADDITIONAL", "ns.example. 3600 IN A 192.0.2.2", "ENTRY_END", "RANGE_END")


def _steps(case: Case) -> Iterator[str]:
    step = 0
    for ask in case.asks:
        name, kind = ask.question.split()
        if ask.wait:
            step += 1
            yield f"STEP {step} TIME_PASSES ELAPSE {ask.wait}"
        step += 1
        yield from (f"STEP {step} QUERY", "ENTRY_BEGIN", f"REPLY RD {ask.asked}".rstrip())
        yield from ("SECTION QUESTION", f"{name} IN {kind}", "ENTRY_END")
        step += 1
        wanted = ask.answer
        if wanted is None:
            wanted = [] if ask.rcode == "SERVFAIL" else _wanted(case, ask)
        error = " ede=any" if "ede: yes" in case.settings else ""
        yield from (f"STEP {step} CHECK_ANSWER", "ENTRY_BEGIN", f"MATCH opcode qname qtype rcode flags answer{error}")
        yield f"REPLY QR RD RA {ask.flags} {ask.rcode}".replace("  ", " ")
        yield from _section("QUESTION", [f"{name} IN {kind}"])
        yield from (*_section("ANSWER", wanted), "ENTRY_END")


def _wanted(case: Case, ask: Ask) -> list[str]:
    for where in reversed(case.zones.values()):
        response = _answer(where, ask.question)
        if response.authoritative:
            return _lines((ask.tamper(response) if ask.tamper else response).answer)
    return []


def text_of(case: Case) -> str:
    """The scenario as a file."""
    lines = [f"; {line}" for line in textwrap.wrap(case.about, 116)]
    lines += ["; Written by tests/dns/scenarios/signed.py.", "server:", "\tqname-minimisation: no"]
    lines += ['\ttarget-fetch-policy: "0 0 0 0 0"', f'\tval-override-date: "{DATE}"', "\ttrust-anchor-signaling: no"]
    lines += [f'\ttrust-anchor: "{anchor}"' for anchor in case.anchors]
    lines += [f"\t{setting}" for setting in case.settings]
    lines += ["stub-zone:", '\tname: "."', "\tstub-addr: 192.0.2.1", "CONFIG_END"]
    lines += [f"SCENARIO_BEGIN {case.name.replace('_', ' ')}", *_served(case), "", *_steps(case), "SCENARIO_END", ""]
    return "\n".join(lines)


def main() -> None:
    """Write all files, and remove those that are no more."""
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.rpl"):
        path.unlink()
    for case in cases():
        (FOLDER / f"{case.name}.rpl").write_text(text_of(case))


if __name__ == "__main__":
    main()
