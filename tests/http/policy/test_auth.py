"""Authentication: the examples of the RFCs, and Apache as a server of Digest."""

import hashlib  # noqa: I001
import urllib.error
import urllib.request
from dataclasses import dataclass, field

import pytest

from catenet.http.headers import Headers
from catenet.http.policy.auth import Basic, Bearer, Digest, NetrcAuth, basic_credentials, basic_value
from catenet.http.policy.challenges import Challenge, parse_challenges
from catenet.http.policy.digest import DigestSession, strongest
from catenet.http.url import Url


PAGE = Url.parse("http://www.example.org/dir/index.html")


@dataclass
class Request:
    method: str = "GET"
    url: Url = PAGE
    headers: Headers = field(default_factory=Headers)
    content: bytes | None = None


@dataclass
class Response:
    status: int
    headers: Headers = field(default_factory=Headers)


def parameters(value):
    (challenge,) = parse_challenges([value])
    return challenge.parameters


# RFC 7616 section 3.9.1 and 3.9.2, RFC 2617 section 3.5.
EXAMPLE = 'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'  # noqa: E501
CNONCE = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_examples_of_rfc_7616(algorithm, response):
    session = DigestSession(parse_challenges([EXAMPLE.format(algorithm)])[0])
    value = session.authorization("Mufasa", "Circle of Life", "GET", "/dir/index.html", None, CNONCE)
    said = parameters(value)
    assert said["response"] == response
    assert (said["username"], said["uri"], said["qop"], said["nc"]) == ("Mufasa", "/dir/index.html", "auth", "00000001")
    assert said["opaque"] == "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS" and said["algorithm"] == algorithm


def test_example_of_userhash():
    """RFC 7616 section 3.9.2 with the corrections of erratum 4897: the hash of the name is what is certain."""
    field = (
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC'  # noqa: E501
        '/RVvkK", opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true'
    )
    session = DigestSession(parse_challenges([field])[0])
    value = session.authorization(
        "Jäsøn Doe", "Secret, or not?", "GET", "/doe.json", None, "NTg6RKcb9boFIAS3KrFK9BGeh+niz/sm"
    )
    said = parameters(value)
    assert said["userhash"] == "true"
    assert said["username"] == hashlib.new("sha512_256", "Jäsøn Doe:api@example.org".encode()).hexdigest()
    assert said["username"].startswith("793263caabb707a5")


def test_example_of_rfc_2617():
    field = 'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", opaque="5ccc069c403ebaf9f0171e9517f40e41"'  # noqa: E501
    session = DigestSession(parse_challenges([field])[0])
    value = session.authorization("Mufasa", "Circle Of Life", "GET", "/dir/index.html", None, "0a4f113b")
    assert parameters(value)["response"] == "6629fae49393a05397450978507c4ef1"


def test_without_qop():
    """RFC 2069."""
    session = DigestSession(parse_challenges(['Digest realm="r", nonce="n"'])[0])
    said = parameters(session.authorization("u", "p", "GET", "/", None, "c"))
    a1, a2 = (hashlib.md5(text).hexdigest() for text in (b"u:r:p", b"GET:/"))
    assert said["response"] == hashlib.md5(f"{a1}:n:{a2}".encode()).hexdigest() and "nc" not in said


def test_auth_int_and_sessions():
    session = DigestSession(
        parse_challenges(['Digest realm="r", nonce="n", qop="auth-int", algorithm=SHA-256-sess'])[0]
    )

    def h(text):
        return hashlib.sha256(text).hexdigest()

    first = h(f"{h(b'u:r:p')}:n:c1".encode())
    for count, cnonce in enumerate(["c1", "c2"], 1):
        said = parameters(session.authorization("u", "p", "PUT", "/x", b"body", cnonce))
        a2 = h(f"PUT:/x:{h(b'body')}".encode())
        assert said["response"] == h(f"{first}:n:{count:08x}:{cnonce}:auth-int:{a2}".encode())
    with pytest.raises(ValueError, match="auth-int"):
        session.authorization("u", "p", "PUT", "/x", None, "c")


def test_the_strongest_algorithm_is_answered():
    fields = ['Digest realm="r", nonce="a"', 'Digest realm="r", nonce="b", algorithm=SHA-256, Basic realm="r"']
    fields.append('Digest realm="r", nonce="c", algorithm=WHIRLPOOL')
    assert strongest(parse_challenges(fields)).parameters["nonce"] == "b"
    assert strongest(parse_challenges(fields[2:])) is None


def test_challenges():
    """RFC 9110 section 11.6.1, and what servers send."""
    field = 'Basic realm="simple", Newauth realm="apps", type=1, title="Login to \\"apps\\"", Negotiate, NTLM TlRM==, Bearer'  # noqa: E501
    found = parse_challenges([field, "", 'digest nonce="x,y" , realm=z'])
    assert found == [
        Challenge("basic", {"realm": "simple"}),
        Challenge("newauth", {"realm": "apps", "type": "1", "title": 'Login to "apps"'}),
        Challenge("negotiate", {}),
        Challenge("ntlm", {}, "TlRM=="),
        Challenge("bearer", {}),
        Challenge("digest", {"nonce": "x,y", "realm": "z"}),
    ]
    assert parse_challenges(["Basic", "@#=,"])[0].realm == "" and len(parse_challenges(["a,"] * 1000)) == 32


@pytest.mark.parametrize(
    "text",
    ['Basic realm="' + "\\" * 60001, "Basic " + "a" * 60000 + '"', "a " * 30000, "Basic a=" + "=" * 60000, "," * 60000],
)
def test_challenges_take_linear_time(text):
    for _ in range(20):
        parse_challenges([text])


def run(auth, request, responses):
    """Drive a flow; return what was sent as Authorization each time."""
    sent = []
    flow = auth.flow(request)
    next(flow)
    for response in responses:
        sent.append(request.headers.get("Authorization"))
        try:
            flow.send(response)
        except StopIteration:
            return sent
    sent.append(request.headers.get("Authorization"))
    return sent


def challenge(nonce, **more):
    extra = "".join(f", {key}={value}" for key, value in more.items())
    return Response(401, Headers({"WWW-Authenticate": f'Digest realm="r", qop="auth", nonce="{nonce}"{extra}'}))


def test_flow_of_digest():
    auth = Digest("u", "p", lambda count: b"x" * count)
    first = run(auth, Request(), [challenge("n1"), Response(200)])
    assert first[0] is None and parameters(first[1])["nonce"] == "n1"
    # The next request answers at once, and counts.
    second = run(auth, Request(), [Response(200, Headers({"Authentication-Info": 'nextnonce="n2", qop=auth'}))])
    assert parameters(second[0])["nc"] == "00000002"
    third = run(auth, Request(), [challenge("n3", stale="true"), Response(200)])
    assert [parameters(value)["nonce"] for value in third] == ["n2", "n3"]
    # Another origin knows nothing of it.
    assert run(auth, Request(url=Url.parse("http://other.example/")), [Response(200)]) == [None]


def test_a_wrong_password_is_tried_once():
    auth = Digest("u", "p", lambda count: b"x" * count)
    assert len(run(auth, Request(), [challenge("n1"), challenge("n2"), challenge("n3")])) == 2
    always = run(auth, Request(), [challenge(f"n{number}", stale="true") for number in range(10)])
    assert len(always) <= 4


def test_digest_for_a_proxy():
    auth = Digest("u", "p", lambda count: b"x" * count, "Proxy-Authorization")
    request = Request("CONNECT", Url.parse("https://a.example:8443/x"))
    flow = auth.flow(request)
    next(flow)
    flow.send(Response(407, Headers({"Proxy-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'})))
    assert parameters(request.headers["Proxy-Authorization"])["uri"] == "a.example:8443"


def test_basic():
    assert basic_value("Aladdin", "open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert basic_value("test", "123£") == "Basic dGVzdDoxMjPCow=="  # RFC 7617 section 2.1
    assert basic_credentials("basic dGVzdDoxMjPCow==") == ("test", "123£")
    assert basic_credentials("Basic " + "YTpiOmM=") == ("a", "b:c")
    for wrong in (None, "", "Basic", "Basic !!", "Basic YQ==", "Bearer YTpi", "Basic /w=="):
        assert basic_credentials(wrong) is None
    for user, password in (("a:b", "c"), ("a", "b\n"), ("a\0", "")):
        with pytest.raises(ValueError):
            basic_value(user, password)
    assert run(Basic("a", "b"), Request(), [Response(401)]) == ["Basic YTpi"]


def test_bearer():
    assert run(Bearer("mF_9.B5f-4.1JqM"), Request(), [Response(200)]) == ["Bearer mF_9.B5f-4.1JqM"]
    with pytest.raises(ValueError):
        Bearer("a b")


def test_netrc(tmp_path):
    path = tmp_path / "netrc"
    path.write_text("machine www.example.org login u password p\nmachine other login x\n")
    auth = NetrcAuth(path)
    assert run(auth, Request(), [Response(200)]) == ["Basic dTpw"]
    assert run(auth, Request(url=Url.parse("http://third/")), [Response(200)]) == [None]
    path.write_text("machine a login b nonsense c\n")
    with pytest.raises(ValueError, match=r"netrc, line [0-9]+: "):
        NetrcAuth(path)


@pytest.mark.parametrize(
    ("algorithm", "qop"), [("MD5", "auth"), ("SHA-256", "auth"), ("MD5-sess", "auth"), ("MD5", None)]
)
def test_beside_httpx(algorithm, qop, monkeypatch):
    """The same challenge gets the same answer from httpx, given the same cnonce."""
    import httpx

    field = f'Digest realm="r e", nonce="n0nce", algorithm={algorithm}, opaque="o"' + (f', qop="{qop}"' if qop else "")
    theirs = httpx.DigestAuth("user", "pass")
    monkeypatch.setattr(theirs, "_get_client_nonce", lambda *args: b"c0c0")
    request = httpx.Request("GET", "http://a/b?c=d")
    flow = theirs.auth_flow(request)
    next(flow)
    answered = flow.send(httpx.Response(401, headers={"www-authenticate": field}, request=request))
    session = DigestSession(parse_challenges([field])[0])
    ours = parameters(session.authorization("user", "pass", "GET", "/b?c=d", None, "c0c0"))
    assert ours["response"] == parameters(answered.headers["authorization"])["response"]


@pytest.mark.peer
def test_digest_against_apache(apache_digest):
    """mod_auth_digest: refused without, served with, and the nonce counts on over several requests."""
    auth = Digest("user", "päss", lambda count: b"q" * count)

    def exchange(request):
        flow = auth.flow(request)
        sent = next(flow)
        rounds = 0
        while True:
            rounds += 1
            asked = urllib.request.Request(str(request.url), headers=dict(sent.headers), method=request.method)
            try:
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    response = Response(answer.status, Headers(answer.getheaders()))
            except urllib.error.HTTPError as error:
                response = Response(error.code, Headers(error.headers.items()))
            try:
                sent = flow.send(response)
            except StopIteration:
                return rounds, response.status

    url = Url.parse(f"{apache_digest}/secret.txt?x=y")
    assert exchange(Request(url=url)) == (2, 200)
    assert [exchange(Request(url=url)) for _ in range(3)] == [(1, 200)] * 3
    wrong = Digest("user", "wrong", lambda count: b"q" * count)
    auth = wrong
    assert exchange(Request(url=url)) == (2, 401)
