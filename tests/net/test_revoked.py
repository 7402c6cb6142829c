"""Revoked certificates (RFC 5280 section 5): of clients and servers, lists that are missing, late, wrong or new."""

import datetime
import ssl

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from catenet.net.tls import Certificates, TlsError, client_context, server_context
from catenet.net.tls_source import server_files

DAY = datetime.timedelta(days=1)


class Files:
    """An authority, its list of revoked certificates, a server and two clients."""

    def __init__(self, folder):
        self.folder = folder
        self.authority = trustme.CA()
        self.ca, self.crl = str(folder / "ca.pem"), str(folder / "crl.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        self.leaves = {name: self.authority.issue_cert(name) for name in ("localhost", "good.example", "bad.example")}
        for name, leaf in self.leaves.items():
            leaf.private_key_and_cert_chain_pem.write_to_path(self.of(name))
        self.revoke()

    def of(self, name):
        return str(self.folder / name)

    def revoke(self, *names, authority=None, age=0 * DAY):
        """Write a new list."""
        authority = authority or self.authority
        issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
        now = datetime.datetime.now(datetime.UTC) - age
        builder = x509.CertificateRevocationListBuilder(issuer.subject, now - DAY, now + DAY)
        for name in names:
            serial = x509.load_pem_x509_certificate(self.leaves[name].cert_chain_pems[0].bytes()).serial_number
            builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder(serial, now - DAY).build())
        made = builder.sign(load_pem_private_key(authority.private_key_pem.bytes(), None), hashes.SHA256())
        with open(self.crl, "wb") as file:
            file.write(made.public_bytes(Encoding.PEM))

    def server(self, **options):
        return server_context(self.of("localhost"), client_ca=self.ca, crl=self.crl, **options)

    def client(self, name="good.example", **options):
        return client_context(self.ca, self.of(name), **options)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def shake(server, client, session=None):
    """Return what the handshake fails with, or the client's connection once a byte has crossed both ways."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    left = client.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
    right = server.wrap_bio(to_server, to_client, server_side=True)
    steps = [
        [left.do_handshake, lambda: left.write(b"x"), lambda: left.read(1)],
        [right.do_handshake, lambda: right.read(1), lambda: right.write(b"y")],
    ]
    for _ in range(20):
        for todo in steps:
            try:
                while todo:
                    todo[0]()
                    todo.pop(0)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
    assert steps == [[], []]
    return left


def test_a_client_that_is_revoked(files):
    files.revoke("bad.example")
    assert shake(files.server(), files.client()).version()
    assert shake(files.server(), files.client("bad.example")) == "certificate revoked"


def test_a_server_that_is_revoked(files):
    server = server_context(files.of("localhost"))
    assert shake(server, files.client(crl=files.crl)).version()
    files.revoke("localhost")
    assert shake(server, files.client(crl=files.crl)) == "certificate revoked"
    assert shake(server, files.client(crl=files.crl, verify=False)).version(), "who verifies nothing asks no list"


def test_without_a_list_that_holds_nobody_comes_in(files):
    files.revoke(authority=trustme.CA())
    assert shake(files.server(), files.client()) == "unable to get certificate CRL"
    files.revoke(age=10 * DAY)
    assert shake(files.server(), files.client()) == "CRL has expired"


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("kind", ["files", "certificates"])
def test_a_list_that_is_read_again_holds_for_sessions_that_are_resumed_too(files, newest, kind):
    if kind == "files":
        source = server_files(files.of("localhost"), client_ca=files.ca, crl=files.crl, interval=0)
        current, reload = source, source.reload
    else:
        certificates = Certificates([(files.of("localhost"), None)], files.ca, crl=files.crl)
        current, reload = certificates.current, certificates.reload
    client = files.client("bad.example")
    client.maximum_version = newest
    first = shake(current(), client)
    assert shake(current(), client, first.session).session_reused
    files.revoke("bad.example")
    assert reload()
    assert shake(current(), client, first.session) == "certificate revoked"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"nonsense", "lists of revoked certificates alone have a place here (PEM, X509 CRL)"),
        (b"-----BEGIN X509 CRL-----\nnonsense\n-----END X509 CRL-----\n", "no lists of revoked certificates: "),
        (None, "No such file or directory (revoked certificates)"),
        ("certificate", "have a place here (PEM, X509 CRL), but CERTIFICATE"),
    ],
)
def test_files_that_are_no_lists(files, content, complaint):
    """A certificate in that file would be an authority that is trusted."""
    name = files.of("wrong") if content is None else files.crl
    if content == "certificate":
        with open(files.crl, "ab") as file:
            file.write(trustme.CA().cert_pem.bytes())
    elif content is not None:
        with open(files.crl, "wb") as file:
            file.write(content)
    for make in (
        lambda: server_context(files.of("localhost"), client_ca=files.ca, crl=name),
        lambda: files.client(crl=name),
    ):
        with pytest.raises(TlsError) as caught:
            make()
        assert str(caught.value).startswith(name) and complaint in str(caught.value)
        assert "\n" not in str(caught.value)


def test_who_asks_for_no_certificates_can_refuse_none(files):
    with pytest.raises(TlsError, match="nobody is asked for certificates"):
        server_context(files.of("localhost"), crl=files.crl)
