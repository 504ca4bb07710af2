"""The page in a browser: sending, results, filters, dead letters, workers, access."""

from __future__ import annotations

import csv
import io
import re
import signal
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from model.labels import ROMAJI
from producer.bundled_samples import SAMPLES, load_samples
from producer.formats import FORMATS, encode
from tests.browser.conftest import NewPage
from tests.browser.fixable import FAULT_AT
from tests.browser.stack import Stack
from tests.support.patience import patient
from tests.support.stream import wait_until
from wrapper import KmnistClassifier

WITHIN_MS = 1000 * patient(20)
RUNNING = ".card:is([data-state=ready], [data-state=working])"
EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'


def rows(page: Page, text: str | re.Pattern[str] = "") -> Locator:
    """Returns the rows of results that contain a text."""
    every = page.locator(".result")
    return every.filter(has_text=text) if text else every


def score(page: Page) -> dict[str, int]:
    """Returns the counts in the head of the page, by name."""
    text = page.locator(".score").filter(has_text="answered").inner_text()
    figures = re.findall(r"([\d,]+) ([a-z ]*[a-z])", text)
    return {name: int(number.replace(",", "")) for number, name in figures}


def await_score(page: Page, before: dict[str, int], within_s: float = 60, **more: int) -> None:
    """Waits until the counts have has_grown by these numbers."""

    def has_grown() -> bool:
        now = score(page)
        return all(now[name] - before[name] == count for name, count in more.items())

    wait_until(has_grown, within_s, f"{more} more than {before}, now {score(page)}")


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def fill(page: Page, label: str, value: object) -> None:
    field = page.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Tab")


def right_samples(count: int) -> dict[str, str]:
    """Returns files of bundled samples that the model classifies right, and their labels."""
    samples = load_samples()
    found = KmnistClassifier().predict(samples.images).data.argmax(axis=1)
    right = [at for at in range(len(found)) if found[at] == samples.labels[at]]
    return {samples.names[at]: ROMAJI[samples.labels[at]] for at in right[:count]}


def upload(page: Page, *files: Path) -> None:
    page.locator(".drop-input").set_input_files(list(files))


def test_21_uploaded_samples_come_back_with_the_right_labels(page: Page) -> None:
    wanted = right_samples(21)
    upload(page, *(SAMPLES / name for name in wanted))
    expect(page.locator(".send-status")).to_have_text("21 sent", timeout=WITHIN_MS)
    for name, label in wanted.items():
        row = page.locator(".result").filter(has=page.get_by_title(name, exact=True)).first
        expect(row.locator(".result-name")).to_have_text(label, timeout=WITHIN_MS)
        # The picture is loaded too.
        expect(row.locator("img")).to_have_js_property("naturalWidth", 28)
    expect(page.locator(".turned figure").first).to_be_visible()


def test_a_drawing_is_answered(page: Page) -> None:
    page.get_by_role("tab", name="draw").click()
    canvas = page.locator(".draw canvas")
    box = canvas.bounding_box()
    assert box is not None
    send = page.get_by_role("button", name="Send drawing")
    expect(send).to_be_disabled()
    # The drawing resembles つ.
    page.mouse.move(box["x"] + 40, box["y"] + 90)
    page.mouse.down()
    for x, y in ((120, 60), (190, 80), (210, 130), (170, 180), (100, 200)):
        page.mouse.move(box["x"] + x, box["y"] + y, steps=4)
    page.mouse.up()
    send.click()
    row = rows(page, "drawing 1").first
    expect(row.locator(".result-name")).to_have_text("tsu", timeout=WITHIN_MS)
    page.get_by_role("button", name="Clear").click()
    expect(send).to_be_disabled()


def test_samples_have_their_truth_and_filters_select_results(page: Page) -> None:
    before = score(page)
    page.get_by_role("tab", name="samples").click()
    page.get_by_role("button", name="Send all 100").click()
    await_score(page, before, answered=100, dead=0, duplicates=0)
    expect(rows(page, "✓").first).to_be_visible()
    page.get_by_label("wrong").click()
    expect(rows(page, "✓")).to_have_count(0)
    expect(rows(page, "✗").first).to_be_visible()
    page.get_by_label("wrong").click()
    page.get_by_label("below, %").fill("60")
    expect(rows(page).first).to_be_visible()
    wait_until(
        lambda: all(
            float(each.removesuffix(" %")) < 60
            for each in page.locator(".result-confidence").all_inner_texts()
        ),
        10,
        "all confidences are below the limit",
    )


def test_filtered_results_can_be_downloaded(page: Page, stack: Stack) -> None:
    page.get_by_role("tab", name="samples").click()
    page.get_by_role("button", name=re.compile("^Send sample")).first.click()
    expect(rows(page).first).to_be_visible(timeout=WITHIN_MS)
    page.get_by_label("unsure").click()
    link = page.get_by_role("link", name="CSV")
    expect(link).to_have_attribute("href", re.compile(r"\?abstained="))
    with page.expect_download() as downloading:
        link.click()
    text = downloading.value.path().read_text("utf-8")
    found = list(csv.DictReader(io.StringIO(text)))
    assert all(each["abstain"] == "True" for each in found)
    with urllib.request.urlopen(f"{stack.url}/api/results.json", timeout=10) as answer:
        assert answer.headers["Content-Disposition"] == 'attachment; filename="results.json"'


def test_files_that_are_no_pictures_become_results(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes((SAMPLES / "sample_0.jpg").read_bytes()[:400])
    archive = tmp_path / "some.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.write(SAMPLES / "sample_1.jpg", "inside.jpg")
        made.writestr("notes.txt", "no picture")
    upload(page, broken, archive)
    expect(page.locator(".send-status")).to_have_text(
        "1 sent, 2 could not be sent", timeout=WITHIN_MS
    )
    expect(rows(page, "broken.png").first).to_contain_text("broken or cut off")
    expect(rows(page, "some.zip/notes.txt").first).to_contain_text("not_sent")
    expect(rows(page, "some.zip/inside.jpg").first.locator(".result-name")).to_be_visible(
        timeout=WITHIN_MS
    )


def test_scripts_in_messages_do_not_run(page: Page, stack: Stack, tmp_path: Path) -> None:
    before = score(page)
    image = load_samples().images[:1]
    json_form = FORMATS["ndarray"]
    evil = EVIL.encode()
    stack.send(
        [encode(json_form, image)],
        key=evil,
        headers=[*json_form.headers(EVIL), (EVIL, evil), ("x", evil)],
    )
    stack.send([evil], key=evil)
    reply = b'{"data":{"names":["%s","b"],"ndarray":[[0.9,0.1]]},"meta":{"puid":"%s"}}' % (
        evil.replace(b'"', b"'"),
        evil.replace(b'"', b"'"),
    )
    stack.send([reply], key=evil, headers=[("kafka-worker", evil)], topic="model_output")
    named = tmp_path / "<img src=x onerror=window.hacked=1>.png"
    named.write_bytes((SAMPLES / "sample_0.jpg").read_bytes())
    upload(page, named)
    await_score(page, before, answered=3, dead=1)
    for _ in range(4):
        expect(rows(page, "onerror").nth(_)).to_be_visible(timeout=WITHIN_MS)
    for at in range(4):
        rows(page, "onerror").nth(at).click()
        page.get_by_role("button", name="Close").wait_for()
        for title in page.get_by_text("headers and value").all():
            title.click()
        # The unfolded parts move the button, so the test uses the keyboard.
        page.keyboard.press("Escape")
        page.locator(".detail").wait_for(state="hidden")
    for tab in ("Dead letters", "Right or wrong", "Console", "Metrics", "Stream"):
        open_tab(page, tab)
        page.wait_for_timeout(300)
    assert page.evaluate("window.hacked") is None
    assert page.locator("img[src=x]").count() == 0


def test_the_keyboard_opens_a_result(page: Page) -> None:
    page.get_by_role("tab", name="samples").click()
    page.get_by_role("button", name=re.compile("^Send sample")).nth(3).press("Enter")
    expect(rows(page).nth(0)).to_be_visible(timeout=WITHIN_MS)
    page.get_by_role("grid").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    dialog = page.locator(".detail")
    expect(dialog).to_contain_text("puid")
    expect(dialog.locator(".big-picture")).to_have_js_property("naturalWidth", 28)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_dead_letter_is_replayed_after_the_fix(page: Page, stack: Stack) -> None:
    faulty = load_samples().images[:1].copy()
    faulty[0, 0, 0] = FAULT_AT
    before = score(page)
    stack.send(
        [encode(FORMATS["png"], faulty)], key=b"faulty", headers=[("content-type", b"image/png")]
    )
    await_score(page, before, dead=1)
    open_tab(page, "Dead letters")
    letter = page.locator("tr[data-key]").filter(has_text="faulty")
    expect(letter).to_contain_text("predict_failed", timeout=WITHIN_MS)
    expect(letter.locator("img")).to_have_js_property("naturalWidth", 28)
    stack.fix_file.touch()
    letter.get_by_role("button", name="Replay").click()
    expect(letter).to_contain_text("1×", timeout=WITHIN_MS)
    open_tab(page, "Stream")
    expect(rows(page, "faulty").first.locator(".result-name")).to_be_visible(timeout=WITHIN_MS)
    open_tab(page, "Console")
    expect(
        page.locator(".console-entry").filter(has_text="seldon-kafka dead-letters replay").first
    ).to_contain_text("replayed 1 dead letter")


@pytest.mark.full  # In `make test`, the reduced fault run kills workers.
def test_a_killed_worker_loses_nothing_of_2000_messages(page: Page) -> None:
    before = score(page)
    fill(page, "messages/s", 500)
    fill(page, "messages", 2000)
    page.get_by_role("button", name="Start load").click()
    wait_until(lambda: score(page)["answered"] - before["answered"] > 300, 30, "answers come")
    card = page.locator(".card:not(.is-gone)").first
    name = card.get_attribute("data-worker")
    card.get_by_role("button", name="kill -9").click()
    gone = page.locator(f".card.is-gone[data-worker={name}]").first
    expect(gone).to_contain_text("kill -9", timeout=WITHIN_MS)
    await_score(page, before, answered=2000, dead=0, duplicates=0)
    assert score(page)["out of order"] == before["out of order"]
    expect(
        page.locator(f".card[data-worker={name}]:is([data-state=ready], [data-state=working])")
    ).to_be_visible(timeout=2 * WITHIN_MS)
    expect(page.locator(".console-entry").filter(has_text=f"kill {name}").first).to_contain_text(
        "done"
    )


def test_minimum_and_maximum_change_the_number_of_workers(page: Page) -> None:
    working = page.locator(".card:is([data-state=ready], [data-state=working])")
    fill(page, "minimum", 1)
    fill(page, "maximum", 1)
    page.get_by_role("button", name="Update").click()
    expect(working).to_have_count(1, timeout=WITHIN_MS)
    fill(page, "minimum", 2)
    fill(page, "maximum", 2)
    page.get_by_role("button", name="Update").click()
    expect(working).to_have_count(2, timeout=2 * WITHIN_MS)


def test_a_corrected_label_reaches_all_pages_and_the_training_set(
    page: Page, new_page: NewPage, stack: Stack, tmp_path: Path
) -> None:
    drawn = load_samples().images[:1]
    stack.send([encode(FORMATS["raw"], drawn)], b"to correct", FORMATS["raw"].headers())
    row = page.locator(".result").filter(has=page.get_by_title("to correct", exact=True)).first
    row.click(timeout=WITHIN_MS)
    page.locator(".detail").get_by_label("Right label").click()
    page.get_by_role("option", name="re").click()
    page.get_by_role("button", name="Correct the label").click()
    expect(row).to_contain_text("✗ れ", timeout=WITHIN_MS)
    other = new_page()
    expect(rows(other, "✗ れ").first).to_be_visible(timeout=WITHIN_MS)
    open_tab(other, "Right or wrong")
    expect(other.get_by_text(re.compile("corrected by hand"))).to_contain_text("1 corrected")
    out = tmp_path / "corrections.npz"
    stack.run("consumer.feedback", "--out", str(out))
    with np.load(out) as arrays:
        assert np.array_equal(arrays["images"], drawn)
        assert arrays["labels"].tolist() == [ROMAJI.index("re")]


def test_two_pages_show_the_same_state(new_page: NewPage) -> None:
    first, second = new_page(), new_page()
    before = score(first)
    first.get_by_role("tab", name="samples").click()
    first.get_by_role("button", name=re.compile("^Send sample")).nth(7).click()
    await_score(first, before, answered=1)
    wait_until(lambda: score(second) == score(first), 10, "the same figures")
    number = rows(first).first.get_attribute("data-number")
    expect(second.locator(f".result[data-number='{number}']")).to_be_visible()
    fill(first, "lag for each worker", 123)
    first.get_by_role("button", name="Update").click()
    expect(second.get_by_label("lag for each worker")).to_have_value("123", timeout=WITHIN_MS)


@pytest.mark.parametrize("scheme", [pytest.param("light", marks=pytest.mark.full), "dark"])
def test_every_tab_fits_a_phone(new_page: NewPage, scheme: str) -> None:
    page = new_page(width=390, height=800, color_scheme=scheme)
    page.get_by_role("tab", name="samples").click()
    page.get_by_role("button", name=re.compile("^Send sample")).nth(11).click()
    expect(rows(page).first.locator(".result-confidence")).to_be_visible(timeout=WITHIN_MS)
    for tab in ("Right or wrong", "Kafka", "Dead letters", "Metrics", "Console", "Stream"):
        open_tab(page, tab)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = max(int(each) for each in re.findall(r"\d+", paper)[:3])
    assert (brightness < 100) is (scheme == "dark")


def test_the_page_is_hidden_without_the_token(new_page: NewPage, stack: Stack) -> None:
    guarded = stack.second_page("--host", "0.0.0.0", DASHBOARD_TOKEN="correct horse battery")
    try:
        url = guarded.url.replace("0.0.0.0", "127.0.0.1")
        page = new_page(url)
        expect(page.get_by_text("model_input")).to_have_count(0)
        page.get_by_label("This dashboard asks for its token.").fill("wrong horse")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        page.get_by_label("This dashboard asks for its token.").fill("correct horse battery")
        page.get_by_role("button", name="Open").click()
        expect(page.locator(".card").first).to_be_visible(timeout=WITHIN_MS)
        assert "horse" not in page.url
    finally:
        guarded.end(signal.SIGTERM)
    assert "horse" not in guarded.log.read_text()
