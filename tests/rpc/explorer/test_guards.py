"""What the explorer's page knows, and who does not get it: other sites, other machines, other names of this one."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from urllib.error import HTTPError

import pytest

from catenet.http.message import RequestHead
from catenet.rpc import Server
from catenet.rpc.model.local_names import check_hosts, of_another_site
from catenet.rpc.services.explorer.app import Explorer
from catenet.rpc.services.explorer.schema import schema_of


def ask(url, *, data=None, method=None, **headers):
    """Status, header fields and body of an answer."""
    request = urllib.request.Request(url, data, {k.replace("_", "-"): v for k, v in headers.items()}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.headers, response.read()
    except HTTPError as error:
        return error.code, error.headers, error.read()


def test_the_page_and_what_guards_it(explored):
    status, headers, page = ask(f"{explored}/")  # leads to the page
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["x-frame-options"] == "DENY"
    assert b"http:" not in page and b"https:" not in page, "nothing comes from elsewhere"
    for name, kind in {
        "page.js": "text/javascript",
        "page.css": "text/css",
        "services.json": "application/json",
    }.items():
        status, headers, _ = ask(f"{explored}/explorer/{name}")
        assert (status, headers.get_content_type(), headers["x-content-type-options"]) == (200, kind, "nosniff")
    assert ask(f"{explored}/explorer/../../etc/passwd")[0] == 404
    assert ask(f"{explored}/explorer/page.html")[0] == 404
    assert ask(f"{explored}/explorer/", data=b"", method="POST")[0] == 405
    assert ask(f"{explored}/explorer/", method="HEAD")[2] == b""


def test_the_script_makes_no_markup(explored):
    """Names, comments and answers go into the page as text."""
    script = ask(f"{explored}/explorer/page.js")[2].decode()
    for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert word not in script


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", ""]
)
def test_a_name_that_somebody_else_bound_to_this_machine(explored, host):
    assert ask(f"{explored}/explorer/services.json", host=host or "x")[0] == 403
    body = json.dumps({"name": "Ada"}).encode()
    status, _, text = ask(
        f"{explored}/explored.Greeter/Hello",
        data=body,
        host=host or "x",
        origin=f"http://{host}",
        content_type="application/json",
    )
    assert (status, text) == (403, b"not for pages of other sites\n")
    query = "encoding=json&connect=v1&message=%7B%22name%22%3A%22Ada%22%7D"
    assert ask(f"{explored}/explored.Greeter/Hello?{query}", host=host or "x")[0] == 403, "a GET has no origin"
    assert ask(f"{explored}/explored.Greeter/Hello?{query}")[0] == 200


def test_pages_of_other_sites_call_nothing(explored):
    body, url = json.dumps({"name": "Ada"}).encode(), f"{explored}/explored.Greeter/Hello"
    status, headers, _ = ask(url, data=body, content_type="application/json", origin="http://evil.example")
    assert status == 403
    assert not [name for name in headers if name.lower().startswith("access-control-")]
    assert ask(url, data=body, content_type="application/json", origin="null")[0] == 403
    assert ask(url, data=body, content_type="text/plain")[0] == 415, "what a form can send is no call"
    preflight = ask(url, method="OPTIONS", origin="http://evil.example", access_control_request_method="POST")
    assert preflight[0] >= 400
    assert ask(url, data=body, content_type="application/json", origin=explored)[0] == 200
    assert ask(url, data=body, content_type="application/json")[0] == 200, "no browser"


@pytest.mark.parametrize("name", ["http://a", "a:80", "[::1]:80", "a/", "a b", "a\n", "", "\u00fc", "\udcff", "@"])
def test_what_is_no_name_of_a_host(greeter, name):
    with pytest.raises(ValueError, match="is no host as browsers name it"):
        Server([greeter], browser_hosts=[name])
    with pytest.raises(ValueError, match="is no host as browsers name it"):
        Explorer([greeter], [name])


def test_names_of_hosts_as_browsers_send_them():
    assert check_hosts(["Shop.example", "::1", "[2001:DB8::1]"]) == {"shop.example", "::1", "2001:db8::1"}


def test_names_by_which_browsers_may_come():
    def head(**fields):
        pairs = tuple((name.replace("_", "-").encode(), value) for name, value in fields.items() if name != "host")
        return RequestHead(b"POST", b"/", pairs, fields["host"], b"http")

    same = {"sec_fetch_site": b"same-origin"}
    assert not of_another_site(head(host=b"localhost:8000", **same), ())
    assert not of_another_site(head(host=b"app.localhost", **same), ())
    assert not of_another_site(head(host=b"[::1]:8000", origin=b"http://[::1]:8000"), ())
    assert not of_another_site(head(host=b"shop.example", **same), {"shop.example"})
    assert of_another_site(head(host=b"shop.example", **same), ())
    assert of_another_site(head(host=b"[2001:db8::1]:8000", **same), ())
    assert of_another_site(head(host=b"localhost:8000", origin=b"http://localhost:9000"), ())
    assert not of_another_site(head(host=b"anything"), ()), "no browser"
    assert of_another_site(RequestHead(b"GET", b"/", (), b"shop.example:8000", b"http"), ()), "perhaps one"
    assert not of_another_site(RequestHead(b"GET", b"/", (), b"shop.example:8000", b"http"), {"shop.example"})
    assert not of_another_site(RequestHead(b"GET", b"/", (), b"127.0.0.1:8000", b"http"), ())


def answered(explorer, client, host):
    """The status that a caller from `client` gets, who asks for `host`."""
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "method": "GET", "path": "/explorer/", "headers": [(b"host", host)], "client": client,
    }  # fmt: skip
    asyncio.run(explorer(scope, None, send))
    return sent[0]["status"]


def test_callers_from_elsewhere_need_a_name_that_was_given(greeter):
    closed, opened = Explorer([greeter]), Explorer([greeter], ["Shop.example"])
    assert answered(closed, ("127.0.0.1", 1), b"localhost:8000") == 200
    assert answered(closed, ("::1", 1), b"[::1]:8000") == 200
    assert answered(closed, None, b"localhost") == 200, "a Unix socket"
    assert answered(closed, ("192.0.2.1", 1), b"localhost:8000") == 403
    assert answered(opened, ("192.0.2.1", 1), b"shop.example:8000") == 200
    assert answered(opened, ("192.0.2.1", 1), b"other.example") == 403


def test_what_the_page_knows(greeter):
    known = schema_of([greeter])
    (service,) = known["services"]
    assert service["comment"].startswith("Greets <b>people</b></script>")
    hello, count, both = service["methods"]
    assert (hello["path"], hello["safe"], hello["input"]) == ("/explored.Greeter/Hello", True, "explored.Person")
    assert (count["server_streaming"], both["client_streaming"]) == (True, True)
    assert known["enums"] == {"explored.Mood": ["UNKNOWN", "HAPPY"]}
    assert list(known["messages"]) == ["explored.Person", "explored.Greeting"]
    fields = {field["name"]: field for field in known["messages"]["explored.Person"]}
    assert fields["nick_names"] == {"name": "nick_names", "json": "nickNames", "repeated": True, "kind": "string"}
    assert fields["ages"] == {"name": "ages", "json": "ages", "map": "string", "kind": "int64"}
    assert fields["parent"] == {"name": "parent", "json": "parent", "kind": "message", "type": "explored.Person"}
    assert fields["mail"]["oneof"] == fields["phone"]["oneof"] == "contact"
    assert "oneof" not in fields["member"]
    assert [fields[name]["kind"] for name in ("age", "shoe", "more")] == ["duration", "int32", "json"]
