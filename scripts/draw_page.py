"""Draw the pictures of docs/guide/page.md, and print the numbers it quotes: python scripts/draw_page.py [PAGE]

PAGE is what the page's first two commands write (by default runs/mnist/report.html); a 2 is drawn on it, "it should
have been a 7" picked, and the walk taken. The pictures, page-*.png, go to docs/images. Needs playwright (the
extra ``browser``) and a Chromium on the PATH.
"""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from PIL import Image

from fastbp import MissingExtraError

try:
    from playwright.sync_api import Browser, sync_playwright
except ImportError:
    sys.exit(str(MissingExtraError("playwright", "browser", "drawing the pictures of docs/guide/page.md")))

IMAGES = Path(__file__).parent.parent / "docs" / "images"
# A 2; from 0 to 1 across the pad.
STROKE = [
    (0.25, 0.32), (0.25, 0.24), (0.29, 0.18), (0.39, 0.16), (0.48, 0.18), (0.59, 0.25), (0.63, 0.34), (0.63, 0.44),
    (0.59, 0.53), (0.52, 0.64), (0.38, 0.78), (0.53, 0.77), (0.68, 0.78), (0.80, 0.77),
]  # fmt: skip


def draw(browser: Browser, page: Path, folder: Path) -> None:
    """Walk through the page, take the five pictures, and print what stands beside them."""
    tab = browser.new_page(viewport={"width": 1100, "height": 800}, color_scheme="light")
    tab.goto(page.absolute().as_uri())

    def show(picture: str, section: str, *words: str) -> None:
        shot = Image.open(io.BytesIO(tab.locator(section).screenshot())).convert("RGB")
        shot = shot.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        shot.save(folder / f"page-{picture}.png", optimize=True)
        print(f"\n{picture}:", *(tab.locator(name).inner_text() for name in words), sep="\n")

    box = tab.locator("#pad").bounding_box()
    assert box is not None
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in STROKE]
    tab.mouse.move(*places[0])
    tab.mouse.down()
    for place in places:
        tab.mouse.move(*place)
    tab.mouse.up()
    tab.get_by_role("radio", name="7").check(force=True)  # its label is what one sees, and clicks
    tab.wait_for_function("document.querySelector('#wishes-table .own').textContent === 'yours, a 7'")
    show("seven", "#play", "#answer", "#words")
    tab.get_by_role("button", name="Step 5").click()
    show("weights", ".stage", "#words")
    show("sensitive", "#sensitive", "#sensitive-list", "#sensitive-text")
    tab.get_by_role("button", name="Step 8").click()
    show("next", ".stage", "#words")
    show("wishes", "#wishes", "#wishes-table", "#agreement-text")
    tab.close()


if __name__ == "__main__":
    page = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/mnist/report.html")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None or not page.exists():
        sys.exit(f"needs a Chromium on the PATH, and the page {page} that docs/guide/page.md makes")
    with sync_playwright() as driver:
        draw(driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"]), page, IMAGES)
