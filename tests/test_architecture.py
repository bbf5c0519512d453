"""The rooms of the package and who may import whom, read from the source; and that importing is cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastbp

PACKAGE = Path(fastbp.__file__).parent
OPTIONAL = {"scipy", "sklearn", "matplotlib", "tqdm", "pooch", "mlxtend", "torch", "onnx", "safetensors", "PIL"}

LAYERS = {"kernels", "errors", "scalars"}
WORKSPACE = LAYERS | {"layers", "arguments", "_jit", "_threads"}
MODEL = LAYERS | {"layers", "arguments", "gradient", "_threads", "tables", "workspace"}
TRAINER = MODEL | {"model", "optimizers", "schedules"}
EXPLAINING = {"gradcheck", "explain", "explain_batch", "forensics", "gradient_log"}
EDGE = TRAINER | EXPLAINING | {"archive", "history", "hooks", "callbacks", "trainer", "checkpoint"}
# room: the rooms of ours that it may import. Downward only.
MAY_IMPORT: dict[str, set[str]] = {
    "_jit": set(),
    "_threads": {"scalars"},
    "errors": set(),
    "lazy": set(),
    "scalars": set(),
    "kernels": {"_jit", "kernels"},
    "layers": LAYERS,
    "arguments": LAYERS | {"layers"},
    "gradient": LAYERS | {"layers", "lazy"},
    "optimizers": LAYERS,
    "schedules": {"optimizers", "scalars"},
    "plan": {"kernels"},
    "tables": {"kernels", "layers", "lazy", "plan"},
    "compiled": {"_jit", "_threads", "kernels"},
    "workspace": WORKSPACE | {"compiled", "plan", "tables"},
    "model": MODEL,
    "history": set(),
    "hooks": {"errors", "history"},
    "archive": {"errors", "__version__"},
    "samples": {"kernels", "lazy", "scalars"},
    "pace": {"tables"},
    "progress": {"history", "hooks"},
    "callbacks": {"archive", "errors", "history", "hooks", "progress", "scalars"},
    "checkpoint": TRAINER | {"archive"},
    "state": TRAINER | {"archive", "checkpoint", "history"},
    "fitting": TRAINER | {"history", "hooks", "pace", "samples", "state"},
    "trainer": TRAINER | {"archive", "callbacks", "fitting", "history", "hooks", "progress", "samples", "state"},
    "gradcheck": TRAINER,
    "explain": TRAINER,
    "explain_batch": TRAINER | {"explain"},
    "forensics": TRAINER | {"explain"},
    "gradient_log": TRAINER | {"trainer", "history", "hooks", "forensics"},
    "runtime": TRAINER | {"trainer", "_jit", "__version__"},
    "datasets": {"datasets", "errors", "archive", "scalars"},
    "estimators": EDGE | {"estimators", "fitting", "gradient", "history", "hooks", "state"},
    "exchange": EDGE | {"exchange"},
    "report": EDGE | {"report"},
}
ANYTHING = {"__init__", "__main__", "cli"}
# Network.save, Network.to_onnx and their kin are methods for the user's sake; they reach up only when called. What a
# trainer calls names its type, in annotations only.
INSIDE_A_FUNCTION = {("model", "checkpoint"), ("model", "exchange")} | {
    (room, "trainer") for room in ("hooks", "callbacks", "progress", "fitting")
}
# room: the packages of others that it may import, beside numpy and the standard library.
PACKAGES: dict[str, set[str]] = {
    "_jit": {"numba", "llvmlite"},
    "_threads": {"numba"},
    "kernels": {"llvmlite"},
    "datasets": {"pooch", "mlxtend", "sklearn"},
    "estimators": {"sklearn", "scipy"},
    "exchange": {"onnx", "safetensors", "torch"},
    "report": {"matplotlib"},
    "progress": {"tqdm"},
    "cli": {"PIL", "tqdm"},
}


def sources() -> list[Path]:
    """Every Python file of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    """The first part of a file's place in the package: a file's name, or its folder's."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """Absolute dotted names that a file imports, anywhere in it, with the line, and whether inside a function."""
    package = ["fastbp", *path.relative_to(PACKAGE).parts[:-1]]
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        inside = getattr(node, "col_offset", 0) > 0
        if isinstance(node, ast.Import):
            found += [(alias.name, node.lineno, inside) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, *([node.module] if node.module else [])])
            # "from fastbp import x" names a room
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "fastbp" else [module]
            found += [(name, node.lineno, inside) for name in names]
    return found


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_downward(path: Path) -> None:
    room = room_of(path)
    assert room in MAY_IMPORT or room in ANYTHING, f"{room} is in no room of the architecture"
    for name, line, inside in imports(path):
        top, _, rest = name.partition(".")
        where = f"{path.name}:{line} imports {name}"
        if top == "fastbp":
            other = rest.split(".")[0]
            late = inside and (room, other) in INSIDE_A_FUNCTION
            assert room in ANYTHING or late or other in MAY_IMPORT[room], where
        elif top not in sys.stdlib_module_names and top != "numpy":
            assert top in PACKAGES.get(room, set()), where


def test_no_room_for_odds_and_ends() -> None:
    names = {path.stem for path in sources()}
    assert not names & {"utils", "util", "core", "helpers", "common", "misc"}


IMPORT = """
import sys
import numba, numpy  # numba itself looks for scipy
from numba.core import event

optional = set(sys.argv[1:])
asked = []

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in optional:
            asked.append(name)

sys.meta_path.insert(0, Watch())
before = set(sys.modules)
with event.install_recorder("numba:compile") as compiled:
    import fastbp
new = {name.partition(".")[0] for name in set(sys.modules) - before}
assert not new & optional, new & optional
assert not asked, asked
assert not compiled.buffer, compiled.buffer
"""


def test_import_is_cheap() -> None:
    command = [sys.executable, "-W", "error", "-c", IMPORT, *sorted(OPTIONAL)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
