"""Names in clients' certificates; SPIFFE ids as X509-SVID and SPIFFE-ID have them."""

import datetime
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import example, given
from hypothesis import strategies as st
from issuing import ec_key

from catenet.rpc.identity.certificates import read_certificate, spiffe_id
from catenet.rpc.model.identity import identity_of

WEB = "spiffe://example.org/web"
LEAF = {"digital_signature": True}


def issue(*names, usage=LEAF, authority=None):
    """The bytes of a certificate that says what the test wants."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "uid:0")])
    start = datetime.datetime(2030, 1, 1)
    key = ec_key("leaf")
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + datetime.timedelta(days=1))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), False)
    if usage is not None:
        flags = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
                 "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip
        builder = builder.add_extension(x509.KeyUsage(**{flag: usage.get(flag, False) for flag in flags}), True)
    if authority is not None:
        builder = builder.add_extension(x509.BasicConstraints(authority, None), True)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def uri(text):
    return x509.UniformResourceIdentifier(text)


def test_every_kind_of_name():
    found = read_certificate(
        issue(
            x509.DNSName("Web.Example.ORG"),
            x509.RFC822Name("web@example.org"),
            x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
            x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
            uri("urn:web"),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
        )
    )
    assert found.principals() == (
        "dns:web.example.org", "uri:urn:web", "email:web@example.org", "ip:192.0.2.1", "ip:2001:db8::1",
    )  # fmt: skip
    assert found.spiffe is None
    assert found.subject == "CN=uid:0"
    assert found.name == f"cert:{found.fingerprint}"
    assert found.expires == datetime.datetime(2030, 1, 2, tzinfo=datetime.UTC)
    assert "uid:0" not in identity_of(None, found).principals, "a common name is no name"


def test_an_svid():
    found = read_certificate(issue(uri(WEB), x509.DNSName("web")))
    assert found.spiffe == found.name == WEB
    assert identity_of(None, found).principals == {
        WEB,
        f"uri:{WEB}",
        "dns:web",
        f"cert:{found.fingerprint}",
        "authenticated",
    }


@pytest.mark.parametrize(
    "der",
    [
        issue(uri(WEB), uri("spiffe://example.org/other")),
        issue(uri(WEB), uri("urn:x")),
        issue(uri(WEB), usage=None),
        issue(uri(WEB), usage={}),
        issue(uri(WEB), usage=LEAF | {"key_cert_sign": True}),
        issue(uri(WEB), usage=LEAF | {"crl_sign": True}),
        issue(uri(WEB), authority=True),
        issue(),
    ],
)
def test_no_svid(der):
    assert read_certificate(der).spiffe is None


def test_a_leaf_may_say_that_it_is_one():
    assert read_certificate(issue(uri(WEB), authority=False)).spiffe == WEB


@pytest.mark.parametrize(
    "text",
    [
        "spiffe://example.org", "spiffe://example.org/", "spiffe:///web", "spiffe://Example.org/web",
        "spiffe://example.org/web/", "spiffe://example.org//web", "spiffe://example.org/./web",
        "spiffe://example.org/a/../web", "spiffe://example.org:80/web", "spiffe://u@example.org/web",
        "spiffe://example.org/web?a", "spiffe://example.org/web#a", "spiffe://example.org/w%65b",
        "SPIFFE://example.org/web", "https://example.org/web", "spiffe://example.org/web\n", "spiffe://example.org/wéb",
        "spiffe://example.org/" + "a" * 2048, "spiffe://" + "a" * 256 + "/web",
    ],
)  # fmt: skip
def test_no_spiffe_id(text):
    assert spiffe_id((text,)) is None


@pytest.mark.parametrize("text", [WEB, "spiffe://a/...", "spiffe://a-b_c.d/A/b.c_d-e", "spiffe://10.0.0.1/x"])
def test_spiffe_ids(text):
    assert spiffe_id((text,)) == text


@given(st.binary() | st.integers(0, 300).map(lambda cut: issue(uri(WEB))[:cut]))
@example(b"")
def test_noise_is_no_certificate(der):
    assert read_certificate(der) is None


def test_a_version_that_is_none():
    good = issue(uri(WEB))
    at = good.index(b"\xa0\x03\x02\x01\x02")
    assert read_certificate(good[: at + 4] + b"\x17" + good[at + 5 :]) is None
