"""RFC 8725's pitfalls, and RFC 7515's and RFC 7519's musts, one token each."""

import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import example, given
from hypothesis import strategies as st
from issuing import AUDIENCE, CLAIMS, ISSUER, NOW, ec_key, ed_key, encode, jwk, jwks, rsa_key, sign, token

from catenet.rpc.identity.keys import FetchedKeys, KeyCache, Keys
from catenet.rpc.identity.tokens import Issuer, KeyMissing, TokenError, Tokens

E, R, D = ec_key(), rsa_key(), ed_key()
KEYS = Keys(jwks(jwk(E, "e"), jwk(R, "r"), jwk(D, "d")))
TOKENS = Tokens([Issuer(ISSUER, AUDIENCE, KEYS)])
PEM = R.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
ES, RS = {"alg": "ES256", "kid": "e"}, {"alg": "RS256", "kid": "r"}


def test_what_a_token_says():
    found = TOKENS.verify(token(E, ES), NOW)
    assert (found.issuer, found.subject, found.audience) == (ISSUER, "alice", (AUDIENCE,))
    assert (found.scopes, found.key_id, found.algorithm) == (("read", "write"), "e", "ES256")
    assert found.name == f"token:{ISSUER}#alice"
    assert found.claims["iat"] == NOW
    with pytest.raises(TypeError):
        found.claims["sub"] = "root"  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        token(R, RS),
        token(D, {"alg": "EdDSA", "kid": "d"}),
        token(E, {"alg": "ES256"}),  # the only key for this algorithm
        token(E, {**ES, "typ": "at+jwt"}),
        token(E, {**ES, "typ": "application/AT+JWT"}),
        token(E, ES, aud=["https://other.example", AUDIENCE]),
        token(E, ES, exp=NOW - 29),
        token(E, ES, nbf=NOW + 29),
        token(E, ES, scope=None, scp=["a", "b"]),
        token(E, {**ES, "jku": "https://evil.example/keys", "x5u": "https://evil.example/cert"}),
        token(E, {**ES, "jwk": jwk(ec_key("evil"), "e"), "x5c": ["AAAA"]}),
    ],
)
def test_accepted(text):
    assert TOKENS.verify(text, NOW).subject == "alice"


REFUSED = {
    "alg none": sign('{"alg":"none"}', json.dumps(CLAIMS), None),
    "alg none in capitals": sign('{"alg":"nOnE","kid":"e"}', json.dumps(CLAIMS), None),
    "alg none with a signature": token(E, {**ES, "alg": "none"}),
    "no alg": token(E, {"kid": "e"}),
    "alg is no text": token(E, {**ES, "alg": 5}),
    "alg is a list": token(E, {**ES, "alg": ["ES256"]}),
    "public key as the secret of an HMAC": token(PEM, {"alg": "HS256", "kid": "r"}),
    "the same, as JWK": token(jwks(jwk(R, "r")).encode(), {"alg": "HS256", "kid": "r"}),
    "empty secret": token(b"", {"alg": "HS256"}),
    "RSA's key for EC": token(R, {"alg": "ES256", "kid": "r"}),
    "EC's key for RSA": token(E, {"alg": "RS256", "kid": "e"}),
    "algorithm that is not listed": token(E, {"alg": "ES384", "kid": "e"}),
    "another's key": token(ec_key("evil"), ES),
    "another's key, brought along": token(ec_key("evil"), {**ES, "jwk": jwk(ec_key("evil"), "e")}),
    "another's key, with its place": token(ec_key("evil"), {**ES, "jku": "https://evil.example/keys"}),
    "no signature": token(E, ES).rpartition(".")[0] + ".",
    "another signature": token(E, ES).rpartition(".")[0] + "." + encode(bytes(64)),
    "claims of another token": ".".join(
        [token(E, ES).split(".")[0], token(E, ES, sub="root").split(".")[1], token(E, ES).split(".")[2]]
    ),
    "kid of a path": token(E, {**ES, "kid": "../../../../dev/null"}),
    "kid of SQL": token(E, {**ES, "kid": "' UNION SELECT 'k"}),
    "kid of a command": token(E, {**ES, "kid": "|/bin/true"}),
    "kid is no text": token(E, {**ES, "kid": ["e"]}),
    "kid is empty": token(E, {**ES, "kid": ""}),
    "critical": token(E, {**ES, "crit": ["exp"], "exp": NOW + 60}),
    "critical and empty": token(E, {**ES, "crit": []}),
    "critical b64": token(E, {**ES, "crit": ["b64"], "b64": False}),
    "typ of something else": token(E, {**ES, "typ": "logout+jwt"}),
    "typ is no text": token(E, {**ES, "typ": 1}),
    "wrong aud": token(E, ES, aud="https://other.example"),
    "no aud": token(E, ES, aud=None),
    "empty aud": token(E, ES, aud=[]),
    "aud is no text": token(E, ES, aud={"": AUDIENCE}),
    "part of aud is no text": token(E, ES, aud=[AUDIENCE, 1]),
    "aud begins alike": token(E, ES, aud=AUDIENCE + ".evil"),
    "wrong iss": token(E, ES, iss="https://evil.example"),
    "iss with a slash": token(E, ES, iss=ISSUER + "/"),
    "no iss": token(E, ES, iss=None),
    "iss is no text": token(E, ES, iss=[ISSUER]),
    "no exp": token(E, ES, exp=None),
    "exp is text": token(E, ES, exp=str(NOW + 60)),
    "exp is true": token(E, ES, exp=True),
    "expired": token(E, ES, exp=NOW - 31),
    "too early": token(E, ES, nbf=NOW + 31),
    "issued in the future": token(E, ES, iat=NOW + 31),
    "no sub": token(E, ES, sub=None),
    "sub is a number": token(E, ES, sub=0),
    "two of one claim": sign(json.dumps(ES), json.dumps(CLAIMS)[:-1] + ', "sub": "root"}', E),
    "two of one parameter": sign('{"alg":"none","alg":"ES256","kid":"e"}', json.dumps(CLAIMS), E),
    "exp is infinite": sign(json.dumps(ES), json.dumps(CLAIMS | {"exp": float("inf")}), E),
    "exp is nothing": sign(json.dumps(ES), json.dumps(CLAIMS | {"exp": float("nan")}), E),
    "exp is immense": sign(json.dumps(ES), json.dumps(CLAIMS | {"exp": 10**400}), E),
    "JSON of another kind": sign("[]", "[]", E),
    "deep JSON": sign("[" * 5000, "{}", E),
    "JSON serialization": json.dumps({"payload": "e30", "signatures": []}),
    "encrypted": "a.b.c.d.e",
    "empty": "",
    "blank": " ",
    "long": token(E, ES, sub="a" * 20_000),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    with pytest.raises(TokenError) as caught:
        TOKENS.verify(REFUSED[case], NOW)
    assert len(str(caught.value)) < 300


def test_reasons():
    for case, reason in (("expired", "TOKEN_EXPIRED"), ("wrong aud", "TOKEN_AUDIENCE"), ("alg none", "TOKEN_INVALID")):
        with pytest.raises(TokenError) as caught:
            TOKENS.verify(REFUSED[case], NOW)
        assert caught.value.reason == reason


@given(st.text() | st.builds(".".join, st.lists(st.binary().map(encode), min_size=2, max_size=4)))
@example("é.é.é")
@example("\ud800.a.b")
def test_noise_is_refused_and_nothing_else(text):
    with pytest.raises(TokenError):
        TOKENS.verify(text, NOW)


@given(st.data())
def test_one_changed_character_is_refused(data):
    text = token(E, ES)
    place = data.draw(st.integers(0, len(text) - 3))  # the last may hold bits that mean nothing
    other = data.draw(st.sampled_from("AZaz09-_.").filter(lambda each: each != text[place]))
    with pytest.raises(TokenError):
        TOKENS.verify(text[:place] + other + text[place + 1 :], NOW)


def test_keys_of_one_issuer_sign_nothing_for_another():
    other = "https://second.example"
    tokens = Tokens([Issuer(ISSUER, AUDIENCE, Keys(jwks(jwk(E, "k")))),
                     Issuer(other, AUDIENCE, Keys(jwks(jwk(ec_key("second"), "k"))))])  # fmt: skip
    header = {"alg": "ES256", "kid": "k"}
    assert tokens.verify(token(ec_key("second"), header, iss=other), NOW).issuer == other
    with pytest.raises(TokenError):
        tokens.verify(token(E, header, iss=other), NOW)
    with pytest.raises(TokenError):
        tokens.verify(token(ec_key("second"), header), NOW)


def test_a_lifetime_that_is_too_long():
    tokens = Tokens([Issuer(ISSUER, AUDIENCE, KEYS, max_lifetime=600)])
    assert tokens.verify(token(E, ES), NOW)
    for claims in ({"exp": NOW + 601}, {"iat": None}):
        with pytest.raises(TokenError):
            tokens.verify(token(E, ES, **claims), NOW)


def test_what_is_remembered_expires():
    text = token(E, ES, exp=NOW + 20)
    assert TOKENS.verify(text, NOW) is TOKENS.verify(text, NOW + 49)
    with pytest.raises(TokenError):
        TOKENS.verify(text, NOW + 50)


def test_memory_is_bounded(monkeypatch):
    monkeypatch.setattr("catenet.rpc.identity.tokens._MOST_KEPT", 3)
    tokens = Tokens([Issuer(ISSUER, AUDIENCE, KEYS)])
    for number in range(10):
        tokens.verify(token(E, ES, jti=number), NOW)
    assert len(tokens._kept) == 3


@pytest.mark.parametrize("algorithms", [["none"], ["HS256"], ["ES256", "HS512"], []])
def test_algorithms_that_no_issuer_may_have(algorithms):
    with pytest.raises(ValueError, match="algorithm"):
        Issuer(ISSUER, AUDIENCE, KEYS, algorithms=algorithms)


@pytest.mark.parametrize(
    "keys",
    [
        "", "[]", "{}", '{"keys": {}}', '{"keys": []}', "[" * 5000,
        jwks({"kty": "oct", "k": "AAAA", "kid": "e"}),
        jwks(jwk(E, "e", use="enc")),
        jwks(jwk(E, "e", key_ops=["sign"])),
        jwks(jwk(rsa_key("short", 1024), "r")),
        jwks({"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}),
        jwks({"kty": "RSA", "n": 5}),
        jwks({"kty": "new"}),
        json.dumps({"keys": [jwk(E, str(number)) for number in range(101)]}),
    ],
)  # fmt: skip
def test_no_keys(keys):
    with pytest.raises(ValueError, match="JWK set"):
        Keys(keys)


def test_keys_that_are_for_something_else_are_passed_over():
    keys = Keys(
        jwks(jwk(E, "e"), jwk(E, "enc", use="enc"), {"kty": "oct", "k": "AAAA", "kid": "s"}, jwk(R, "r", alg="PS256"))
    )
    assert keys.find("e", "ES256") is not None
    assert keys.find("enc", "ES256") is keys.find("s", "HS256") is keys.find("r", "RS256") is None
    assert keys.find("r", "PS256") is not None


def test_two_keys_of_one_name_are_no_key():
    keys = Keys(jwks(jwk(E, "k"), jwk(ec_key("other"), "k")))
    assert keys.find("k", "ES256") is None
    assert keys.find(None, "ES256") is None


@pytest.mark.parametrize(
    "url", ["http://issuer.example/k", "ftp://a/k", "file:///etc/passwd", "https:///k", "http://127.0.0.1.evil/k"]
)
def test_urls_of_keys(url):
    with pytest.raises(ValueError, match="https"):
        FetchedKeys(url)


class TestRotation:
    """`KeyCache`, which decides and does nothing."""

    def test_a_missing_key_is_looked_for_once_in_a_while(self):
        cache = KeyCache(min_interval=30)
        assert cache.may_fetch(0.0)
        cache.tried(0.0)
        assert not cache.may_fetch(29.9)
        assert cache.may_fetch(30.0)

    def test_keys_are_replaced(self):
        cache = KeyCache()
        cache.store(jwks(jwk(E, "old")), 0.0)
        cache.store(jwks(jwk(ec_key("new"), "new")), 100.0)
        assert cache.find("old", "ES256", 100.0) is None
        assert cache.find("new", "ES256", 100.0) is not None
        assert cache.generation == 2

    def test_what_is_wrong_replaces_nothing(self):
        cache = KeyCache()
        cache.store(jwks(jwk(E, "old")), 0.0)
        with pytest.raises(ValueError, match="JWK"):
            cache.store("<html>", 1.0)
        assert cache.find("old", "ES256", 1.0) is not None

    def test_old_keys_are_fetched_again_and_at_last_forgotten(self):
        cache = KeyCache(max_age=100, max_stale=1000, min_interval=30)
        cache.tried(0.0)
        cache.store(jwks(jwk(E, "k")), 0.0)
        assert not cache.is_old(99.0)
        assert cache.is_old(100.0)
        cache.tried(100.0)
        assert not cache.is_old(120.0)
        assert cache.find("k", "ES256", 1000.0) is not None
        assert cache.find("k", "ES256", 1000.1) is None

    def test_a_key_that_is_withdrawn_ends_what_was_remembered(self):
        class Turning(Keys):
            def turn(self):
                self._cache.store(jwks(jwk(ec_key("new"), "new")), 0.0)

        keys = Turning(jwks(jwk(E, "e")))
        tokens = Tokens([Issuer(ISSUER, AUDIENCE, keys)])
        tokens.verify(token(E, ES), NOW)
        keys.turn()
        with pytest.raises(KeyMissing):
            tokens.verify(token(E, ES), NOW)
