"""Contexts of TLS, and complaints that name the file."""

import ssl

import pytest
import trustme

from catenet.net import TlsError, client_context, server_context
from catenet.net.tls import explain


@pytest.fixture
def files(tmp_path):
    """Names of files: chain, key, both, another key, authorities, nonsense, nothing at all, an encrypted key."""
    authority = trustme.CA()
    one, other = authority.issue_cert("localhost"), authority.issue_cert("localhost")
    contents = {
        "cert": one.cert_chain_pems[0].bytes(),
        "key": one.private_key_pem.bytes(),
        "both": one.private_key_and_cert_chain_pem.bytes(),
        "other": other.private_key_pem.bytes(),
        "ca": authority.cert_pem.bytes(),
        "nonsense": b"nonsense",
        "broken": b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: str(tmp_path / name) for name in (*contents, "missing")}


@pytest.mark.parametrize("words", [("both",), ("cert", "key"), ("cert", "key", "ca")])
def test_contexts_of_servers(files, words):
    context = server_context(*(files[word] for word in words), alpn=["h2"])
    assert context.verify_mode is (ssl.CERT_REQUIRED if len(words) == 3 else ssl.CERT_NONE)


def test_contexts_of_clients(files):
    context = client_context(files["ca"], files["both"])
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1
    assert client_context().verify_mode is ssl.CERT_REQUIRED
    careless = client_context(verify=False)
    assert (careless.verify_mode, careless.check_hostname) == (ssl.CERT_NONE, False)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("missing",), "{missing}: No such file or directory (certificate)"),
        (("cert", "missing"), "{missing}: No such file or directory (key)"),
        (("cert",), "{cert}: no key in it; name the key's file"),
        (("nonsense",), "{nonsense}: no certificate (PEM)"),
        (("cert", "nonsense"), "{nonsense}: no key (PEM)"),
        (("cert", "other"), "{other}: the key is not that of the certificate {cert}"),
        (("broken", "key"), "{broken}, {key}: "),
        (("cert", "key", "missing"), "{missing}: No such file or directory (authorities)"),
        (("cert", "key", "nonsense"), "{nonsense}: no certificates of authorities (PEM)"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(files, words, complaint):
    with pytest.raises(TlsError) as caught:
        server_context(*(files[word] for word in words))
    text = str(caught.value)
    assert text.startswith(complaint.format(**files)) and "\n" not in text and "_ssl.c" not in text


def test_clients_complain_alike(files):
    with pytest.raises(TlsError, match="no certificates of authorities"):
        client_context(files["nonsense"])
    with pytest.raises(TlsError, match="no key in it"):
        client_context(files["ca"], files["cert"])


def test_an_encrypted_key_is_refused_rather_than_asked_about(files, tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(open(files["key"], "rb").read(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (tmp_path / "encrypted").write_bytes(encrypted)
    with pytest.raises(TlsError, match="encrypted"):
        server_context(files["cert"], str(tmp_path / "encrypted"))


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "Connection refused"),
        (OSError("no addresses"), "no addresses"),
        (ConnectionResetError(), "the connection was closed before it was ready"),
        (TimeoutError(), "TimeoutError"),
    ],
)
def test_errors_in_one_line(error, text):
    assert explain(error) == text
