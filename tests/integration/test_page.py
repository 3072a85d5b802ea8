"""The page at `/` in a real browser, against the real API: every figure that it shows is one that the API answers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from speed.contract import unpack_features
from speed.errors import VectorError
from tests.api import FORMS, entry, small_lake
from tests.generations import publish_generation
from tests.site import Site, site_of

RUN = {"run_id": "night-7", "started_at": "2026-11-20T02:00:00Z", "seconds": 83.2, "status": "succeeded"}
COUNTS = {"read": 1000, "rejected": 12, "forms": 988, "published": 988}
REPORT = "<!doctype html><title>The report of night-7</title>"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-sync", "--disable-component-update"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    lake = small_lake(tmp_path_factory.mktemp("page"))
    (lake / "serving" / "runs.json").write_text(json.dumps([RUN | {"run_id": "night-6"}, RUN | COUNTS]))
    (lake / "reports").mkdir()
    (lake / "reports" / "latest.html").write_text(REPORT)
    with site_of(lake) as site:
        yield site


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


def is_complaint(said: ConsoleMessage) -> bool:
    """Of the page; that the API refused something is told there too, and tests bring it about."""
    return said.type in ("error", "warning") and not said.text.startswith("Failed to load resource")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """An empty tab; whatever it does, it asks no other host, breaks no policy and raises nothing."""
    page = browser.new_page()
    page.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "response", lambda got: complaints.append(got.url) if "/v1/" not in got.url and got.status >= 400 else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if is_complaint(said) else None)
    yield page
    page.context.close()
    assert complaints == []
    assert {urlsplit(url).hostname for url in asked if not url.startswith("blob:")} == {"127.0.0.1"}


def enter(page: Page, site: Site, *, key: str = "", at: str = "/") -> None:
    """Go there with a key that was given before."""
    page.add_init_script(f"sessionStorage.setItem('formcast-key', {json.dumps(key or site.key)})")
    page.goto(f"{site.url}{at}")


def percent(share: float) -> str:
    return f"{100 * share:.2f}\u00a0%"


def test_the_page_asks_for_a_key_and_keeps_it_in_the_tab_alone(site: Site, page: Page) -> None:
    page.goto(site.url)
    field, verdict = page.get_by_label("API key", exact=True), page.locator("#verdict")
    expect(verdict).to_contain_text(httpx.get(f"{site.url}/v1/status").json()["detail"].replace("`", ""))
    expect(field).to_be_focused()
    page.keyboard.type(site.key[:-1])
    page.keyboard.press("Enter")
    expect(verdict).to_contain_text("The key is not valid: it was mistyped or revoked.")
    page.keyboard.type(site.key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("g1")
    expect(field).to_be_hidden()
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("g1")
    assert page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    page.get_by_role("button", name="Forget the API key").click()
    expect(field).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Formcast")


def test_the_page_shows_what_is_live_its_runs_and_the_report(site: Site, page: Page) -> None:
    enter(page, site)
    expect(page.locator("#tiles")).to_contain_text("Modellinear" + "MAE, held-out forms0.1700" + "Scored")
    rows = page.locator("#runs tbody tr")
    expect(rows).to_have_text(
        [
            "night-7succeeded2026-11-20 02:001\u00a0min 23\u00a0s1,0001.20\u00a0%988",
            "night-6succeeded2026-11-20 02:001\u00a0min 23\u00a0s",
        ]
    )
    with page.expect_download() as saved:
        page.get_by_role("link", name="Report of the last run").click()
    assert saved.value.path().read_text() == REPORT


def test_a_form_is_shown_as_the_api_answers_it(site: Site, page: Page) -> None:
    enter(page, site)
    page.get_by_label("Form id").fill("a")
    page.get_by_role("button", name="Look up").click()
    form, card = site.ask("/v1/forms/a?explain=true"), page.locator("#form")
    expect(card.locator(".rate")).to_have_text(f"{percent(form['rate'])} predicted for form a")
    expect(card).to_contain_text(f"Interval {percent(form['lower'])} to {percent(form['upper'])}")
    expect(card).to_contain_text(f"{percent(0.3)} of 100 views")
    expect(card).to_contain_text("batch: the nightly run")
    expect(card.locator("svg.chart text", has_text="feat_01 = 2")).to_have_count(1)
    assert card.locator(".bar").count() == 47 + 1  # each once, and those that are summed up once more
    sizes = card.locator("figure svg.chart text", has_text="+").all_text_contents()
    assert sum(map(float, sizes)) == pytest.approx(100 * (form["rate"] - form["explanation"]["base"]), abs=0.05)

    page.set_viewport_size({"width": 390, "height": 844})
    page.get_by_role("button", name="Change its features").click()
    expect(page.locator("#now .rate")).to_contain_text(percent(form["rate"]))
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_forms_that_are_streamed_strange_or_unknown(site: Site, page: Page) -> None:
    site.live.realtime.put([entry("new", 9, datetime.now(UTC) + timedelta(hours=1))])
    enter(page, site, at="/#form=new")
    expect(page.locator("#form")).to_contain_text("stream: data newer than the nightly run")
    page.get_by_label("Form id").fill("b/ü")
    page.keyboard.press("Enter")
    expect(page.locator("#form")).to_contain_text("nothing yet")
    expect(page.locator("#form")).to_contain_text("No interval")
    for wrong in ("nobody", "a%2Fb?<b>", "x,y"):
        page.get_by_label("Form id").fill(wrong)
        page.keyboard.press("Enter")
        expect(page.locator("#form")).to_have_text(site.ask(f"/v1/forms/{quote(wrong, safe='')}")["detail"])


def test_what_if_moves_the_prediction_as_the_api_says(site: Site, page: Page) -> None:
    enter(page, site, at="/#form=a")
    page.get_by_role("button", name="Change its features").click()
    features, now = list(FORMS["a"][0]), page.locator("#now")

    def agree(views: int | None) -> None:
        answer = site.ask("/v1/predict", {"features": features, "views": views})
        start = site.ask("/v1/forms/a")["rate"]
        expect(now.locator(".rate")).to_have_text(f"{percent(answer['rate'])} predicted")
        moved = f"{100 * (answer['rate'] - start):+.2f}".replace("-", "\u2212").replace("+0.00", "0.00")
        expect(now.locator(".moved")).to_have_text(f"{moved} points from {percent(start)} at the start")
        interval = (
            "none without views" if views is None else f"{percent(answer['lower'])} to {percent(answer['upper'])}"
        )
        expect(now.locator(".note")).to_have_text(f"Interval: {interval}")

    agree(100)
    page.get_by_label("feat_07", exact=True).fill("6.5")
    features[6] = 6.5
    agree(100)
    page.get_by_label("feat_01, slider").fill("0")
    features[0] = 0.0
    agree(100)
    expect(page.get_by_label("Vector of 47 features")).to_have_value("-".join(f"{value:g}" for value in features))
    page.get_by_label("feat_02", exact=True).fill("-3")  # not taken: what is shown stays what was asked for
    page.get_by_label("Views").fill("")
    agree(None)
    page.get_by_label("Changed 2").check()
    expect(page.locator("#features li:visible label")).to_have_text(["feat_01", "feat_07"])
    page.get_by_role("button", name="Put feat_01 back to 2").click()
    features[0] = 2.0
    agree(None)
    page.get_by_role("button", name="Reset all").click()
    features[6] = 1.0
    agree(100)


def test_a_pasted_vector_is_scored_or_told_where_it_is_wrong(site: Site, page: Page) -> None:
    enter(page, site)
    vector = page.get_by_label("Vector of 47 features")
    packed = "-".join(["0.5"] * 47)
    vector.fill(packed.replace("0.5", "x", 1))
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_role("alert")).to_have_text("Value 1 is “x”: it must be a non-negative decimal.")
    vector.fill(packed)
    page.get_by_role("button", name="Predict").click()
    expect(page.locator("#now .rate")).to_contain_text(percent(site.ask("/v1/predict", {"features": packed})["rate"]))
    expect(page.get_by_role("alert")).to_be_hidden()


def test_the_page_reads_vectors_as_the_contract_does(site: Site, page: Page) -> None:
    values = [
        "0",
        "2.50",
        "1.",
        ".5",
        "007",
        "0.0000001",
        "9" * 30,
        "9" * 400,
        "1e5",
        "",
        " ",
        "+1",
        "NaN",
        "0x1",
        "\u0661",
    ]
    texts = [f"1-{value}-{'-'.join('0' * 45)}" for value in values]
    texts += ["", "1-2", "-".join("1" * 46), "-".join("1" * 48), "-".join("1" * 47) + "-"]
    page.goto(site.url)
    read = """texts => import("/static/vector.js").then(({pack, unpack}) => texts.map(text => {
        try { return pack(unpack(text)) } catch (error) { return null }
    }))"""

    def contract(text: str | None) -> list[float] | None:
        try:
            return None if text is None else unpack_features(text)
        except VectorError:
            return None

    found = page.evaluate(read, texts)
    assert [contract(text) for text in found] == [contract(text) for text in texts]
    assert sum(text is not None for text in found) == 7


def test_the_keyboard_is_enough(site: Site, page: Page) -> None:
    enter(page, site)
    expect(page.get_by_role("heading", level=1)).to_have_text("g1")
    keys = page.keyboard
    keys.press("Tab")
    keys.press("Enter")  # skips to the look-up
    keys.press("Tab")
    keys.type("a")
    keys.press("Enter")
    expect(page.locator("#form .rate")).to_be_visible()
    keys.press("Tab")
    keys.press("Tab")
    expect(page.get_by_role("button", name="Change its features")).to_be_focused()
    keys.press("Enter")
    keys.type("47")
    keys.press("Tab")
    keys.press("Tab")
    expect(page.get_by_label("feat_47", exact=True)).to_be_focused()
    keys.press("ArrowUp")
    changed = [*FORMS["a"][0][:46], 2.0]
    expect(page.locator("#now .rate")).to_contain_text(
        percent(site.ask("/v1/predict", {"features": changed})["rate"])
    )
    keys.press("Escape")
    expect(page.locator("#now .moved")).to_contain_text("0.00 points")


def test_a_key_that_may_not_score_is_told_which_scope_is_missing(site: Site, page: Page) -> None:
    enter(page, site, key=site.read_key, at="/#form=a")
    page.get_by_role("button", name="Change its features").click()
    expect(page.locator("#now")).to_contain_text("has the scopes read, and 'score' is needed.")
    expect(page.get_by_label("API key", exact=True)).to_be_visible()


def test_a_page_left_open_says_not_ready_and_follows_what_goes_live(tmp_path: Path, page: Page) -> None:
    with ExitStack() as open_site:
        site = open_site.enter_context(site_of(tmp_path, api_open=True))
        page.clock.install()
        page.goto(site.url)
        expect(page.locator("#verdict")).to_contain_text("Not ready")
        publish_generation(tmp_path / "serving", "g2", FORMS)
        while site.live.generation is None:
            time.sleep(0.01)
        page.clock.fast_forward(5000)
        expect(page.get_by_role("heading", level=1)).to_have_text("g2")
        open_site.close()
        page.clock.fast_forward(5000)
        expect(page.locator("#verdict")).to_contain_text("The server does not answer")
