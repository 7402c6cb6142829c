"""Chromium and a folder: a page, its script, uploads by fetch and by a form, a listing."""

import json
import time

import pytest
from serving import serving
from tests.http.browser import opening

from catenet.http.files import FileOptions

pytestmark = pytest.mark.peer

PAGE = """<!DOCTYPE html><title>x</title><script src=app.js></script>"""
SCRIPT = """(async () => {
    const told = {};
    told.range = await (await fetch('data.txt', {headers: {Range: 'bytes=2-4'}})).text();
    told.listing = (await (await fetch('./', {headers: {Accept: 'application/json'}})).json()).map(one => one.name);
    told.put = (await fetch('put.txt', {method: 'PUT', body: 'by fetch'})).status;
    const form = new FormData();
    form.append('file', new Blob(['by form']), '../f\\u00fcr.txt');
    told.post = (await fetch('./', {method: 'POST', body: form})).status;
    told.again = (await fetch('put.txt', {method: 'PUT', body: 'again'})).status;
    const page = document.createElement('iframe');
    page.src = 'evil/';
    page.onload = async () => {
        told.links = [...page.contentDocument.querySelectorAll('td a')].map(one => one.textContent);
        told.evil = window.evil === undefined;
        await fetch('told.json', {method: 'PUT', body: JSON.stringify(told)});
    };
    document.documentElement.append(page);
})();"""
EVIL = "<img src=x onerror=parent.evil=1>"


@pytest.mark.slow(5)
def test_a_page_reads_and_uploads(tmp_path):
    (tmp_path / "index.html").write_text(PAGE)
    (tmp_path / "app.js").write_text(SCRIPT)
    (tmp_path / "data.txt").write_text("0123456789")
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil" / EVIL).touch()
    with serving(tmp_path, FileOptions(upload=True)) as server, opening(f"{server.url}/"):
        for _ in range(6000):
            if (tmp_path / "told.json").exists():
                break
            time.sleep(0.01)
    told = json.loads((tmp_path / "told.json").read_text())
    assert told == {
        "range": "234", "listing": ["evil", "app.js", "data.txt", "index.html"], "put": 201, "post": 201, "again": 409,
        "links": ["../", EVIL], "evil": True,
    }  # fmt: skip
    assert (tmp_path / "put.txt").read_text() == "by fetch"
    assert (tmp_path / "für.txt").read_text() == "by form"
