"""grpc-js as the client of our server; our client against its server is in test_interop.py."""

import json
import subprocess

import pytest
from peers import HERE, need, node


@pytest.mark.parametrize("compression", [0, 1, 2], ids=["identity", "deflate", "gzip"])
def test_grpc_js(servers, compression):
    need("grpc_js")
    command = ["node", HERE / "grpc_js_client.js", HERE / "interop.proto", str(servers("catenet")), str(compression)]
    done = subprocess.run(command, env=node(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    unary = results["unary"]
    assert (unary["response"]["text"], unary["response"]["count"]) == ("Größe", -7)
    assert unary["response"]["metadata"] == {"x-text": "a b", "x-raw-bin": "0001feff"}
    assert (unary["initial"], unary["trailing"]) == (["first", "00ff01"], ["last", "fe00"])
    assert results["error"]["error"] == {"code": 5, "details": "no größe: 100 %", "bin": 1}
    assert results["deadline"]["error"]["code"] == 4
    assert results["serverStream"] == {"counts": list(range(500)), "code": 0}
    assert results["cancelled"] == {"counts": [0, 1, 2], "code": 1}
    assert (results["clientStream"]["count"], results["clientStream"]["text"]) == (300, str(sum(range(300))))
    assert results["bidi"] == [str(number) for number in range(50)]
    assert results["large"]["response"]["payload"] == 4 << 20
    assert results["many"] == list(range(500))
