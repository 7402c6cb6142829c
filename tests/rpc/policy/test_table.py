"""Policy files: what they say, and one line for what they cannot say."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from issuing import ec_key, jwk, jwks

from catenet.rpc.policy.table import PolicyError, parse_policy, read_policy

FULL = """
validate = true
exempt = ["grpc.health.v1.Health/Check"]

[[policy]]
method = ["box.v1.Boxes/Open", "box.v1.Boxes/Close"]
allow = ["owner", ["uid:0", "gid:0"]]
deny = ["uid:7"]
object = "box.id"

[[limit]]
method = "box.v1.Boxes/*"
callers = ["authenticated"]
rate = "120/min"
burst = 5
concurrent = 3
bytes = "1.5 MiB/s"
bytes_burst = "10 MB"

[[issuer]]
name = "https://login.example"
audience = "https://daemon.example"
keys = "keys.json"
algorithms = ["ES256"]
leeway = 5

[[issuer]]
name = "https://other.example"
audience = ["a", "b"]
keys = "https://other.example/jwks.json"
"""


def test_everything(tmp_path):
    (tmp_path / "keys.json").write_text(jwks(jwk(ec_key(), "e")))
    (tmp_path / "policy.toml").write_text(FULL)
    found = read_policy(tmp_path / "policy.toml")
    assert found.validate
    assert found.policy.exempt == ("grpc.health.v1.Health/Check",)
    assert [(rule.method, rule.describe()) for rule in found.policy.rules] == [
        ("box.v1.Boxes/Open", "deny uid:7"),
        ("box.v1.Boxes/Close", "deny uid:7"),
        ("box.v1.Boxes/Open", "allow owner or uid:0 and gid:0 of 'box.id'"),
        ("box.v1.Boxes/Close", "allow owner or uid:0 and gid:0 of 'box.id'"),
    ]
    (limit,) = found.limits
    assert (limit.rate, limit.burst, limit.concurrent, limit.bytes, limit.bytes_burst) == (
        2,
        5,
        3,
        1.5 * (1 << 20),
        10**7,
    )
    assert set(found.tokens._issuers) == {"https://login.example", "https://other.example"}


def test_an_empty_one_allows_nothing():
    found = parse_policy("")
    assert found.policy.plan("a.B/C").rules == []
    assert (found.tokens, found.limits, found.validate) == (None, [], False)


RULE = '[[policy]]\nmethod = "a.B/C"\n'
ISSUER = '[[issuer]]\nname = "i"\naudience = "a"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[policy]", "write [[policy]]"),
        ("polcy = 1", "'polcy' is unknown (did you mean 'policy'?)"),
        ("a = ", "policy: "),
        ("[[policy]]\nallow = ['uid:0']", "policy 1: method"),
        ("[[policy]]\nmethod = 5\nallow = ['uid:0']", "policy 1: method"),
        ("[[policy]]\nmethod = 'Open'\nallow = ['uid:0']", "package.Service/Method"),
        ("[[policy]]\nmethod = 'a.*/C'\nallow = ['uid:0']", "package.Service/Method"),
        (RULE, "allow or deny is missing"),
        (RULE + "alow = ['uid:0']", "did you mean 'allow'"),
        (RULE + "allow = []", "policy 1: allow: "),
        (RULE + "allow = ['sope:0']", "did you mean 'scope'"),
        (RULE + "allow = ['owner']", "needs the field"),
        (RULE + "allow = ['uid:0']\nobject = 'id'", "object without `owner`"),
        (RULE + "allow = ['uid:0']\nobject = 5", "name of a field"),
        ("[[limit]]", "rate, concurrent or bytes"),
        ("[[limit]]\nrate = '100/fortnight'", "no amount like '100/s'"),
        ("[[limit]]\nrate = 0", "no amount"),
        ("[[limit]]\nrate = true", "no amount"),
        ("[[limit]]\nrate = -1", "no amount"),
        ("[[limit]]\nrate = nan", "no amount"),
        ("[[limit]]\nrate = '5 MB/s'", "no amount"),
        ("[[limit]]\nbytes = '5 XB/s'", "no amount like '1 MiB/s'"),
        ("[[limit]]\nrate = 1\nburst = '5/s'", "no amount"),
        ("[[limit]]\nconcurrent = 1.5", "whole number"),
        ("[[limit]]\nconcurrent = -1", "more than 0"),
        ("[[limit]]\nrate = 1\ncallers = ['owner']", "a limit has none"),
        ("[[issuer]]", "name: a text"),
        (ISSUER + "keys = 'no-such-file'", "keys: no-such-file: No such file"),
        (ISSUER + "keys = 'http://other.example/k'", "https://"),
        (ISSUER + "keys = 'https://other.example/k'\nalgorithms = ['HS256']", "algorithm"),
        (ISSUER + "keys = 'https://other.example/k'\nalgorithms = 5", "list of texts"),
        (ISSUER + "keys = 'https://other.example/k'\n" + ISSUER + "keys = 'https://other.example/k'", "one name"),
        ("exempt = 'all'", "list of methods"),
        ("exempt = ['all']", "list of methods"),
        ("validate = 'yes'", "true or false"),
        ("[[policy]]\n" + "a = " + "[" * 5000, "policy: "),
    ],
)
def test_what_is_wrong(text, complaint):
    with pytest.raises(PolicyError) as caught:
        parse_policy(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(PolicyError, match=r"nowhere.toml: No such file"):
        read_policy(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b"\xff")
    with pytest.raises(PolicyError, match=r"no UTF-8"):
        read_policy(tmp_path / "latin.toml")


values = st.recursive(
    st.text(max_size=5) | st.integers() | st.booleans() | st.floats(),
    lambda one: st.lists(one, max_size=3),
    max_leaves=4,
)
keys = st.sampled_from(
    ["method", "allow", "deny", "object", "rate", "bytes", "callers", "name", "keys", "audience", "leeway", "types"]
)


@given(st.sampled_from(["policy", "limit", "issuer"]), st.dictionaries(keys, values))
def test_whatever_a_table_holds_there_is_one_kind_of_error(kind, table):
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=True)}".replace("NaN", "nan").replace("Infinity", "inf")
        for key, value in table.items()
    ]
    try:
        parse_policy(f"[[{kind}]]\n" + "\n".join(lines))
    except PolicyError:
        pass
