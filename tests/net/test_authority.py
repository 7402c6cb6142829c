"""The local authority: what it makes, who accepts it, when it is made again."""

import datetime
import socket
import ssl
import stat
import subprocess
import threading

import pytest
from tests.peers import tool
from tests.processes import at_once

from catenet.net import client_context, server_context
from catenet.net.authority import AuthorityError, LocalAuthority, data_folder, host_names, how_to_trust

NOW = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)


def days(number):
    return datetime.timedelta(days=number)


def openssl(*words, **options):
    return subprocess.run([tool("openssl"), *words], capture_output=True, text=True, timeout=30, **options)


def verify(authority, chain, name="localhost"):
    check = "-verify_ip" if name[0].isdigit() or ":" in name else "-verify_hostname"
    return openssl("verify", "-purpose", "sslserver", "-CAfile", authority.path, check, name, chain).returncode == 0


@pytest.fixture
def authority(tmp_path):
    return LocalAuthority(tmp_path / "tls")


@pytest.mark.peer
def test_openssl_accepts_it_for_this_machine_and_nothing_else(authority):
    chain = authority.certificate()
    assert authority.is_new
    for name in host_names():
        assert verify(authority, chain, name), name
    assert not verify(authority, chain, "example.org")
    assert not verify(authority, chain, "192.0.2.1")
    text = openssl("x509", "-in", authority.path, "-noout", "-text").stdout
    assert "CA:TRUE, pathlen:0" in text and "Name Constraints: critical" in text
    assert "prime256v1" in text and "Certificate Sign, CRL Sign" in text


def test_keys_are_their_users_alone(authority):
    chain = authority.certificate()
    assert stat.S_IMODE(authority.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(chain.stat().st_mode) == 0o600
    assert stat.S_IMODE((authority.folder / "authority.key").stat().st_mode) == 0o600
    assert sorted(path.name for path in authority.folder.iterdir()) == [
        "authority.key", "authority.pem", "lock", "server.pem",
    ]  # fmt: skip


def test_the_same_certificate_until_thirty_days_before_its_end(authority):
    first = authority.certificate(now=NOW).read_bytes()
    trusted = authority.path.read_bytes()
    again = LocalAuthority(authority.folder)
    assert again.certificate(now=NOW + days(59)).read_bytes() == first and not again.is_new
    renewed = again.certificate(now=NOW + days(61)).read_bytes()
    assert renewed != first
    assert again.path.read_bytes() == trusted and not again.is_new


def test_the_authority_is_made_again_before_what_it_signs_outlives_it(authority):
    authority.certificate(now=NOW)
    trusted = authority.path.read_bytes()
    later = LocalAuthority(authority.folder)
    later.certificate(now=NOW + days(3650 - 91))
    assert later.path.read_bytes() == trusted
    last = LocalAuthority(authority.folder)
    last.certificate(now=NOW + days(3650 - 89))
    assert last.path.read_bytes() != trusted and last.is_new


@pytest.mark.peer
def test_names_that_servers_ask_for_come_together(authority):
    authority.certificate(["printer.local", "10.1.2.3"])
    chain = authority.certificate(["FD00::7", "fe80::1%eth0"])
    for name in ("printer.local", "10.1.2.3", "fd00::7", "fe80::1", "localhost"):
        assert verify(authority, chain, name), name
    before = chain.read_bytes()
    assert LocalAuthority(authority.folder).certificate(["10.1.2.3"]).read_bytes() == before


@pytest.mark.parametrize("name", ["example.org", "203.0.113.5", "2001:db8::1", "notlocalhost", "xlocal"])
def test_no_certificate_for_what_is_not_this_machines(authority, name):
    with pytest.raises(AuthorityError, match=f"not for {name}; name a certificate of its own"):
        authority.certificate([name])


@pytest.mark.parametrize("name", ["", "a b", "-x.local", "x" * 64 + ".local", "ü.local", "*.local", "x\n"])
def test_what_is_no_name(authority, name):
    with pytest.raises(AuthorityError, match="is no name of a host"):
        authority.certificate([name])


@pytest.mark.peer
def test_a_machine_with_a_new_name_gets_a_new_authority(authority, monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: "web1.example.com")
    assert verify(authority, authority.certificate(), "web1.example.com")
    monkeypatch.setattr(socket, "gethostname", lambda: "Web2")
    other = LocalAuthority(authority.folder)
    chain = other.certificate()
    assert other.is_new
    assert verify(other, chain, "web2") and verify(other, chain, "web2.local")
    assert not verify(other, chain, "web1.example.com")


@pytest.mark.peer
def test_a_damaged_certificate_is_made_again_but_no_authority(authority):
    chain = authority.certificate()
    chain.write_text("nonsense")
    assert verify(authority, LocalAuthority(authority.folder).certificate())
    (authority.folder / "authority.key").write_text("nonsense")
    with pytest.raises(AuthorityError, match=r"authority\.key: no certificate or key; remove both"):
        LocalAuthority(authority.folder).certificate()
    (authority.folder / "authority.key").unlink()
    with pytest.raises(AuthorityError, match=r"authority\.key is missing; remove"):
        LocalAuthority(authority.folder).certificate()


def test_another_key_is_noticed(authority, tmp_path):
    authority.certificate()
    other = LocalAuthority(tmp_path / "other")
    other.certificate()
    (authority.folder / "authority.key").write_bytes((other.folder / "authority.key").read_bytes())
    with pytest.raises(AuthorityError, match="not the key of"):
        LocalAuthority(authority.folder).certificate()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AuthorityError, match=r"/file.*: Not a directory"):
        LocalAuthority(tmp_path / "file" / "tls").certificate()


def test_processes_that_begin_at_once_agree(tmp_path):
    preparation = "import pathlib, sys\nfrom catenet.net.authority import LocalAuthority"
    work = "print(LocalAuthority(pathlib.Path(sys.argv[1])).certificate().read_text())"
    chains = at_once(preparation, work, [[str(tmp_path / "tls")]] * 4)
    assert len(set(chains)) == 1 and "BEGIN CERTIFICATE" in chains[0]


def test_the_folder_is_where_xdg_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert data_folder() == tmp_path / "catenet" / "tls"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder() == tmp_path / ".local" / "share" / "catenet" / "tls"


def test_how_to_trust_names_the_file(authority):
    text = how_to_trust(authority.path)
    assert text.count(str(authority.path)) == len(text.splitlines()) == 9


@pytest.fixture
def https(authority):
    """Port of a server that answers one line over TLS to whoever comes."""
    context = server_context(str(authority.certificate()))
    listener = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def serve():
        while not ended.is_set():
            try:
                with context.wrap_socket(listener.accept()[0], server_side=True) as sock:
                    sock.recv(4096)
                    sock.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi")
            except OSError:
                continue

    thread = threading.Thread(target=serve)
    thread.start()
    yield listener.getsockname()[1]
    ended.set()
    socket.create_connection(listener.getsockname()).close()
    thread.join()
    listener.close()


@pytest.mark.peer
def test_python_and_curl_accept_it(authority, https):
    for name in ("localhost", "127.0.0.1", socket.gethostname().lower()):
        with socket.create_connection(("127.0.0.1", https)) as plain:
            with client_context(str(authority.path)).wrap_socket(plain, server_hostname=name) as sock:
                sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
                assert sock.recv(4096).startswith(b"HTTP/1.0 200")
    with socket.create_connection(("127.0.0.1", https)) as plain, pytest.raises(ssl.SSLCertVerificationError):
        client_context(str(authority.path)).wrap_socket(plain, server_hostname="other.local")
    words = [tool("curl"), "-sS", "--cacert", authority.path, f"https://localhost:{https}/", "-4"]
    assert subprocess.run(words, capture_output=True, timeout=30).stdout == b"hi"
