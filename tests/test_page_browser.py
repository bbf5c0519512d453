"""The page in headless Chromium: drawing, clicking, keys, a phone's width, both themes.

Needs playwright (the extra ``browser``) and a Chromium on the PATH, and is skipped where there is none; the page's
arithmetic is tested without a browser in test_page_arithmetic.py.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from script_runs import load, pictures

import fastbp
from fastbp import SGD, Dense, History, Network, Trainer, report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("no Chromium on the PATH", allow_module_level=True)
playwright = pytest.importorskip("playwright.sync_api", reason='no playwright: pip install "fastbp[browser]"')

# Chromium's JavaScript and NumPy, both in double precision.
CLOSE: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}
MINUS, TIMES = "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"
EVIL = "<img src=x onerror=window.evil=1></script><script>window.evil=1</script>"
Digits = tuple[np.ndarray, np.ndarray]
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def digits() -> Digits:
    """Strokes with little noise: a bar across, a bar down, a box; 28 x 28, their classes 0, 1, 2."""
    rng = np.random.default_rng(0)
    y = np.arange(120) % 3
    x = np.zeros((120, 28, 28), np.uint8)
    for image, label in zip(x, y, strict=True):
        row, column = rng.integers(12, 15, 2)
        if label == 0:
            image[row : row + 3, 4:24] = 250
        elif label == 1:
            image[4:24, column : column + 3] = 250
        else:
            image[4:24, 4:24] = 250
            image[7:21, 7:21] = 0
    return x.reshape(120, 784), y


@pytest.fixture(scope="module")
def trained(digits: Digits) -> tuple[Network, History]:
    """A network that knows the three."""
    network = Network(784, [Dense(12, "sigmoid"), Dense(6, "tanh"), Dense(3, "sigmoid")], "sum_of_squares", seed=2)
    history = Trainer(network, SGD(0.1, momentum=0.9), batch_size=10).fit(*digits, epochs=20, validation=digits)
    assert network.accuracy(*digits) == 1.0
    return network, history


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One browser for all tests."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium: Any) -> Iterator[Open]:
    """Return ``visit(path, width, scheme)``: an open page. No test may leave an error or a request behind."""
    contexts, wrong = [], []

    def visit(path: Path, width: int = 1200, scheme: str = "light") -> Any:
        context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: message.type in ("error", "warning") and wrong.append(message.text))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or wrong.append(request.url))
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture(scope="module")
def written(trained: tuple[Network, History], digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of that network."""
    network, history = trained
    path = tmp_path_factory.mktemp("page") / "a page & more.html"
    assert report.save_page(path, network, title=EVIL, facts=[(EVIL, EVIL)], history=history, test=digits) == []
    return path


def stroke(page: Any, *points: tuple[float, float]) -> None:
    """Draw with the mouse; points from 0 to 1 across the pad."""
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()


def arrays(page: Any) -> dict[str, Any]:
    """What the page computed for the sample at hand, as plain lists."""
    text = "(_, item) => (ArrayBuffer.isView(item) ? Array.from(item) : item)"
    return dict(page.evaluate(f"JSON.parse(JSON.stringify({{x: fastbp.x, ...fastbp.explained}}, {text}))"))


def assert_as_python(page: Any, network: Network) -> dict[str, Any]:
    """All arrays of the sample at hand against ``fastbp.explain``, and the outputs that are written against both."""
    found = arrays(page)
    e = fastbp.explain(network, np.array(found["x"]), found["label"])
    for name, want in (("z", e.z), ("a", e.a), ("delta", e.delta)):
        for one, other in zip(found[name], want, strict=True):
            np.testing.assert_allclose(one, other, **CLOSE)
    np.testing.assert_allclose(found["activationNudges"][1], e.activation_nudges[1], **CLOSE)
    assert found["cost"] == pytest.approx(e.cost, rel=1e-9)
    shown = [float(text.replace(MINUS, "-")) for text in page.locator("#diagram text.value").all_text_contents()]
    np.testing.assert_allclose(shown, network.forward(np.array(found["x"])), atol=0.00501)  # two digits
    return found


def test_draw_pick_a_label_and_walk_back(visit: Open, written: Path, trained: tuple[Network, History]) -> None:
    page, network = visit(written), trained[0]
    stroke(page, (0.5, 0.2), (0.5, 0.8))
    found = assert_as_python(page, network)
    assert found["predicted"] == found["label"] == 1  # a drawing is what the network says, until one picks
    assert "It says 1" in page.locator("#answer").text_content()
    page.get_by_role("radio", name="2").check(force=True)
    found = assert_as_python(page, network)
    assert (found["predicted"], found["label"]) == (1, 2)
    words = page.locator("#words")
    assert "If it should have been 2" in words.text_content()
    nudge = 1 - found["a"][-1][2]
    assert f"+{nudge:.3g}" in words.text_content()
    headings = []
    while page.locator("#forth").is_enabled():
        page.locator("#forth").click()
        headings.append(words.locator("h3").text_content())
    assert len(headings) == 7
    assert headings[0] == "3. Weights and biases of the output"
    assert headings[1] == "4. Activations of hidden layer 2"
    assert headings[-2:] == ["8. The next sample", "9. The average"]
    page.locator("#clear").click()
    assert not any(arrays(page)["x"])
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    assert arrays(page)["label"] == 0


def test_the_average_and_the_next_sample(
    visit: Open, written: Path, trained: tuple[Network, History], digits: Digits
) -> None:
    page, network = visit(written), trained[0]
    stroke(page, (0.5, 0.2), (0.5, 0.8))
    page.get_by_role("radio", name="0").check(force=True)
    found = arrays(page)
    x, y = digits[0][:100], digits[1][:100]
    own = fastbp.explain(network, np.array(found["x"]), 0)
    flat = np.concatenate([np.append(w.ravel(), b) for w, b in zip(own.weight_nudges, own.bias_nudges, strict=True)])
    twin = Network.from_config(network.config() | {"dtype": "float64"})
    twin.set_parameters(network.get_parameters())
    average, each = -twin.gradient(x, y).flat, -twin.per_sample_gradients(x, y)

    def cosine(other: np.ndarray) -> str:
        return f"{flat @ other / np.linalg.norm(flat) / np.linalg.norm(other):.2f}".replace("-", MINUS)

    page.get_by_role("button", name="The average").click()
    assert f"cosine with it is {cosine(average)}" in page.locator("#words").text_content()
    share = np.linalg.norm(average) / np.linalg.norm(each, axis=1).mean()
    assert f"{share:.2f} times as long" in page.locator("#words").text_content()
    page.get_by_role("button", name="The next sample").click()
    for k in range(3):
        assert f"cosine with yours is {cosine(each[k])}" in page.locator("#words").text_content()
        page.get_by_role("button", name="Another sample").click()
    page.wait_for_function("document.querySelectorAll('#wishes-table tbody tr').length === 8")
    foot = page.locator("#wishes-table tfoot td").all_text_contents()
    assert foot[0] == "1.00"
    assert foot[1:-1] == [cosine(each[k]) for k in range(3, 9)]
    assert foot[-1] == cosine(average)
    ratios = [one.times_median for one in own.most_sensitive(10)]
    shown = page.locator("#sensitive-list b").all_text_contents()  # to a whole number, or to two digits below 10
    assert [float(text.replace(",", "").removesuffix(TIMES)) for text in shown] == pytest.approx(
        ratios, rel=0.05, abs=0.501
    )


def test_the_table_tells_little_from_nothing(
    visit: Open, trained: tuple[Network, History], digits: Digits, tmp_path: Path
) -> None:
    network = Network.from_config(trained[0].config())
    network.set_parameters(trained[0].get_parameters())
    network.weights[-1][:] *= 2  # surer: a sample that is right wants hardly anything, one called a 2 a lot
    network.biases[-1][:] *= 2
    report.save_page(tmp_path / "sure.html", network, batch=digits)
    page = visit(tmp_path / "sure.html")
    page.locator("#samples button").first.click()
    page.get_by_role("radio", name="2").check(force=True)
    page.wait_for_function("document.querySelectorAll('#wishes-table tbody tr').length === 8")
    text_and_title = "cells => cells.map((cell) => [cell.textContent, cell.title])"
    cells = page.locator("#wishes-table tbody td").evaluate_all(text_and_title)
    assert len(cells) == 8 * 8
    for text, exact in cells:
        assert (text == "0") == (exact == "0")
        assert text[0] == exact[0]  # the sign, also where the digits are 0.00
    assert any(text.endswith("0.00") for text, _ in cells)


def test_the_last_steps_lead_to_the_tables(visit: Open, written: Path) -> None:
    page = visit(written)
    for step in ("The next sample", "The average"):
        page.get_by_role("button", name=step).click()
        links = page.locator("#words a")
        assert links.count() > 0
        for link in links.all():
            link.click()
            target = page.locator(link.get_attribute("href"))
            assert 0 <= target.bounding_box()["y"] < 800


def test_by_keyboard_alone(visit: Open, written: Path, trained: tuple[Network, History]) -> None:
    page = visit(written)
    page.locator("#pad").focus()
    page.keyboard.press("Delete")
    for _ in range(9):
        page.keyboard.press("ArrowUp")
    page.keyboard.press(" ")
    for _ in range(18):
        page.keyboard.press("ArrowDown")
    page.keyboard.press(" ")
    page.keyboard.press("ArrowLeft")  # the pen is up
    assert assert_as_python(page, trained[0])["predicted"] == 1
    page.locator("#labels input").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert arrays(page)["label"] == 2
    page.locator("#diagram g.unit[tabindex='0']").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.locator("#unit").text_content().startswith("Output ")
    assert page.locator("#diagram g.unit[aria-pressed='true']").count() == 1
    page.locator("#theme").focus()
    reached = []
    while "hardest" not in reached and len(reached) < 60:
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.closest('[id]').id"))
    order = [
        "pad",
        "clear",
        "samples",
        "labels",
        "dots",
        "forth",
        "diagram",
        "others",
        "first-kind",
        "errors",
        "hardest",
    ]
    assert [name for name in dict.fromkeys(reached) if name in order] == order
    assert reached.count("samples") == reached.count("diagram") == 1  # arrow keys move among the many
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#hardest button").nth(1).get_attribute("aria-pressed") == "true"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1200])
def test_both_themes_at_a_phones_width(visit: Open, written: Path, width: int, scheme: str) -> None:
    page = visit(written, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ground = "getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/g).map(Number)"
    before = page.evaluate(ground)
    assert (max(before) < 60) == (scheme == "dark")
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    page.locator("#theme").click()
    assert (max(page.evaluate(ground)) < 60) == (scheme == "light")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for ids in ("play", "wishes", "sensitive", "first", "curves", "errors"):
        assert page.locator(f"#{ids}").is_visible()


def test_everything_that_can_be_used_has_a_name(visit: Open, written: Path) -> None:
    page = visit(written)
    nameless = page.evaluate("""() => [...document.querySelectorAll("button, input, [role], canvas, svg")]
      .filter((e) => !e.closest("[aria-hidden], [hidden]"))
      .filter((e) => !["status", "group"].includes(e.getAttribute("role")))
      .filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("aria-labelledby") || e.textContent.trim()
        || e.closest("label")?.textContent.trim()))
      .map((e) => e.outerHTML.slice(0, 80))""")
    assert nameless == []


def test_names_from_files_do_nothing(visit: Open, written: Path) -> None:
    page = visit(written)
    assert page.locator("h1").text_content() == EVIL
    assert page.title() == EVIL
    assert page.evaluate("window.evil") is None
    assert page.locator("img").count() == 0


def test_a_hardest_sample_is_taken(
    visit: Open, written: Path, trained: tuple[Network, History], digits: Digits
) -> None:
    page, network = visit(written), trained[0]
    page.locator("#hardest button").nth(4).click()
    found = assert_as_python(page, network)
    costs = [network.cost(x, [y]) for x, y in zip(digits[0][:, np.newaxis], digits[1], strict=True)]
    fifth = np.argsort(-np.array(costs), kind="stable")[4]
    np.testing.assert_allclose(found["x"], digits[0][fifth] / 255)
    assert found["label"] == digits[1][fifth]


def test_where_nothing_is_wanted_nothing_points_up_or_down(visit: Open, tmp_path: Path) -> None:
    silent = Network(2, [Dense(2, "relu"), Dense(2, "softmax", bias=False)], seed=0)
    silent.biases[0][:] = -1000.0
    report.save_page(tmp_path / "silent.html", silent, batch=(np.ones((5, 2)), np.array([0, 1, 0, 1, 0])))
    page = visit(tmp_path / "silent.html")
    for step in ("hidden layer 1", "the output"):
        page.get_by_role("button", name=f"Weights and biases of {step}").click()
        wishes = page.locator("#words li").all_text_contents()
        assert wishes
        assert all(wish.endswith(": nothing") for wish in wishes)
    page.get_by_role("button", name="The next sample").click()
    assert "Of the 10 weights" in page.locator("#words").text_content()
    assert "wants 0 moved the other way" in page.locator("#words").text_content()
    page.wait_for_function("document.querySelectorAll('#sensitive-list li').length === 10")
    assert "0 of 5 samples agree with the average, 0 pull against it" in page.locator("#agreement-text").text_content()
    assert "10 of the 10 parameters" in page.locator("#sensitive-text").text_content()


def test_a_wide_network_a_deep_one_and_one_without_pictures(
    visit: Open, tmp_path: Path, digits: Digits, rng: np.random.Generator
) -> None:
    wide = Network(784, [Dense(100), Dense(80), Dense(10, "softmax")], seed=0)
    report.save_page(tmp_path / "wide.html", wide, batch=digits, sample=(digits[0][1], 7))
    page = visit(tmp_path / "wide.html")
    assert_as_python(page, wide)
    assert arrays(page)["label"] == 7
    assert page.locator("#first-units figure").count() == 48
    page.get_by_role("button", name="Show all 100 units").click()
    assert page.locator("#first-units figure").count() == 100
    plain = Network(3, [Dense(4, "gelu"), Dense(1, "sigmoid", bias=False)], seed=0)
    report.save_page(tmp_path / "plain.html", plain, test=(rng.normal(size=(9, 3)), rng.integers(0, 2, 9)))
    page = visit(tmp_path / "plain.html")
    assert "no square image" in page.locator("#notes").text_content()
    assert not page.locator("#pad").is_visible()
    assert re.fullmatch(r"#\d\n[01] → [01]", page.locator("#hardest button").first.inner_text())
    page.locator("#samples button").nth(2).click()
    while page.locator("#forth").is_enabled():
        page.locator("#forth").click()
    assert_as_python(page, plain)
    many = Network(3, [Dense(400, "softmax")], seed=0)
    history = {"cost": rng.uniform(size=5000).tolist()}
    report.save_page(
        tmp_path / "many.html", many, test=(rng.normal(size=(9, 3)), rng.integers(0, 400, 9)), history=history
    )
    page = visit(tmp_path / "many.html")
    assert "epoch 5000: " in page.locator("#cost-curve title").last.text_content()
    assert page.locator("#hardest button").count() == 9
    assert not page.locator("#confusion").is_visible()
    huge = Network(784, [Dense(5000), Dense(10, "softmax")], seed=0)
    report.save_page(tmp_path / "huge.html", huge, test=digits)
    page = visit(tmp_path / "huge.html")
    assert "do not fit" in page.locator("#notes").text_content()
    assert not page.locator("#play").is_visible()
    assert page.locator("#first-units canvas").count() == 48
    assert page.locator("#confusion").is_visible()


def test_the_guides_pictures_are_drawn(
    chromium: Any, digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = Network(784, [Dense(16, "sigmoid"), Dense(16, "sigmoid"), Dense(10, "sigmoid")], "sum_of_squares", seed=0)
    report.save_page(tmp_path / "report.html", network, batch=digits)
    (tmp_path / "images").mkdir()
    load("draw_page", monkeypatch).draw(chromium, tmp_path / "report.html", tmp_path / "images")
    assert pictures(tmp_path / "images") == [
        f"page-{n}.png" for n in ("next", "sensitive", "seven", "weights", "wishes")
    ]
    out = capsys.readouterr().out
    for found in (
        "If it should have been 7",
        "5. Weights and biases of hidden layer 2",
        "yours, a 7",
        "of 100 samples",
    ):
        assert found in out
