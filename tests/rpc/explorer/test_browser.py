"""The explorer in Chromium: forms, a unary and a streaming call, by mouse and by keyboard, light and dark."""

from __future__ import annotations

import json

import pytest
from tests.http.browser import driven

pytestmark = [pytest.mark.peer("chromium"), pytest.mark.slow(15)]

OK = "document.querySelector('#status').className === 'good'"
BAD = "document.querySelector('#status').className === 'bad'"

LOWEST_CONTRAST = """(() => {
const linear = (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = (rgb) => rgb.reduce((sum, v, i) => sum + linear(v / 255) * [0.2126, 0.7152, 0.0722][i], 0);
const numbers = (text) => text.match(/[\\d.]+/g).map(Number);
const ground = (node) => {
    for (let one = node; one; one = one.parentElement) {
        const color = numbers(getComputedStyle(one).backgroundColor);
        if (color.length === 3 || color[3] > 0) return color.slice(0, 3);
    }
    return [255, 255, 255];
};
const texts = "h1, h2, h3, p, label, legend, button:not(:disabled), pre, summary, span";
const seen = [...document.querySelectorAll(texts)].filter((one) => one.offsetParent && one.textContent.trim());
return Math.min(...seen.map((one) => {
    const mine = light(numbers(getComputedStyle(one).color).slice(0, 3));
    const [a, b] = [mine, light(ground(one))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
}));
})()"""


@pytest.fixture(scope="module")
def browser(explored):
    with driven(f"{explored}/explorer/") as page:
        yield page


@pytest.fixture
def page(browser, explored):
    browser.command("Page.navigate", url=f"{explored}/explorer/")
    browser.wait_for("document.querySelector('nav button') && document.readyState === 'complete'")
    return browser


def choose(page, method):
    page.click(f"[data-path='/explored.Greeter/{method}']")
    page.wait_for(f"document.querySelector('#title').textContent === 'explored.Greeter/{method}'")


def fill(page, label, text):
    """Put the focus into the control that has that label, and type."""
    found = (
        f"[...document.querySelectorAll('#form label')].find((one) => one.textContent.startsWith({json.dumps(label)}))"
    )
    page.value(f"document.getElementById({found}.getAttribute('for')).focus()")
    page.type(text)


def answers(page):
    texts = page.value("[...document.querySelectorAll('#answers pre')].map((x) => x.textContent)")
    return [json.loads(text) for text in texts]


def test_a_unary_call(page):
    choose(page, "Hello")
    fill(page, "name", "Ada")
    page.click("#method details summary")
    page.click("#metadata")
    page.type("X-Given: 7")
    page.click("#call")
    page.wait_for(OK)
    assert answers(page) == [{"text": "Hello, Ada"}]
    assert "200" in page.value("document.querySelector('#headers').textContent").splitlines()[0]
    assert "x-seen: 7" in page.value("document.querySelector('#headers').textContent")
    assert page.text("#status").startswith("ok after ")
    assert '-d \'{"name":"Ada"}\'' in page.text("#snippet") and page.text("#snippet").startswith("curl ")


def test_an_error_and_markup_in_what_peers_say(page):
    choose(page, "Hello")
    page.click("#call")
    page.wait_for(BAD)
    assert page.text("#status").startswith("invalid_argument: who is <b>there</b>? after ")
    assert "<img src=x" in page.text("#comment")
    assert page.value("document.querySelectorAll('img, nav b, nav script, #main b').length") == 0
    assert page.value("document.title") == "Services"


def test_a_streaming_call_by_keyboard(page):
    """From the list to the answers without the mouse."""
    page.value("document.querySelector(\"[data-path='/explored.Greeter/Count']\").focus()")
    page.press("Enter", 13)
    page.wait_for("document.querySelector('#title').textContent === 'explored.Greeter/Count'")
    assert page.value("document.activeElement.id") == "main"
    page.press("Tab", 9)
    assert page.value("document.activeElement.closest('form')?.id") == "form"
    page.type("Eve")
    page.press("Tab", 9)
    page.type("3")
    page.press("Enter", 13, 2)
    page.wait_for(OK)
    assert [answer.get("number", 0) for answer in answers(page)] == [0, 1, 2]
    page.value("document.querySelector('#tab-curl').focus()")
    page.press("ArrowRight", 39)
    assert page.text("#snippet").startswith("grpcurl -plaintext")
    page.press("ArrowRight", 39)
    assert "GreeterSyncClient(channel).count(" in page.text("#snippet")


def test_answers_come_one_by_one_and_can_be_cancelled(page):
    choose(page, "Count")
    fill(page, "name", "ever")
    fill(page, "times", "2")
    page.click("#call")
    page.wait_for("document.querySelectorAll('#answers li').length === 2")
    assert page.text("#status").startswith("Calling")
    page.click("#cancel")
    page.wait_for(BAD)
    assert page.text("#status").startswith("canceled")


def test_a_stream_of_requests(page):
    choose(page, "HelloAll")
    fill(page, "name", "Ada")
    page.click("#add")
    fill(page, "name", " L.")
    page.click("#add")
    assert page.value("document.querySelectorAll('#queued li').length") == 2
    page.click("#call")
    page.wait_for(OK)
    assert [answer["text"] for answer in answers(page)] == ["Hello, Ada", "Hello, Ada L."]


def test_all_kinds_of_fields_become_json(page):
    choose(page, "Hello")
    fill(page, "name", "Ada")
    fill(page, "age", "1.5s")
    fill(page, "shoe", "41")
    fill(page, "more", '{"a": [1]}')
    page.click("[aria-label='Add to nick_names']")
    page.type("A.")
    page.click("[aria-label='Add to ages']")
    page.type("now")
    page.press("Tab", 9)
    page.type("36")
    page.click("[aria-label='Set: parent']")
    page.value(
        """(() => {
        const one = [...document.querySelectorAll('[aria-label="one of contact"]')].at(-1);
        one.value = 'phone';
        one.dispatchEvent(new Event('change'));
        })()"""
    )
    assert json.loads(page.value("document.querySelector('#body').value")) == {
        "name": "Ada",
        "nickNames": ["A."],
        "ages": {"now": "36"},
        "parent": {},
        "phone": "0",
        "age": "1.5s",
        "shoe": 41,
        "more": {"a": [1]},
    }
    page.click("#call")
    page.wait_for(OK)
    page.value("document.querySelector('#body').value = '{\"name\": '")
    page.click("#call")
    assert page.text("#problem").startswith("This is no JSON")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(page, scheme):
    """A contrast of at least 4.5 (WCAG 2.2, 1.4.3) between each text and its ground."""
    page.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    choose(page, "Hello")
    assert page.value(LOWEST_CONTRAST) >= 4.5
