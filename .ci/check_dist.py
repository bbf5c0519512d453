"""That the wheel holds the package and the sdist the repository: every file that git tracks, and no other.

python .ci/check_dist.py DIST_FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

# What the build itself adds, and what only the repository needs.
ADDED = ("PKG-INFO", "setup.cfg", "fastbp.egg-info/")
LEFT_OUT = (".ci/", ".gitignore")


def tracked(*paths: str) -> set[str]:
    """The files that git tracks."""
    names = subprocess.run(["git", "ls-files", "-z", *paths], check=True, capture_output=True, text=True).stdout
    return set(names.split("\0")) - {""}


def in_wheel(path: Path) -> set[str]:
    """A wheel's files without its metadata."""
    with zipfile.ZipFile(path) as wheel:
        return {name for name in wheel.namelist() if ".dist-info/" not in name}


def in_sdist(path: Path) -> set[str]:
    """An sdist's files, named as in the repository, without its metadata."""
    with tarfile.open(path) as sdist:
        names = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    return {name for name in names if not name.startswith(ADDED)}


def compare(path: Path, found: set[str], expected: set[str]) -> bool:
    """Say what is missing and what is too much; whether neither is."""
    for name in sorted(expected - found):
        print(f"{path.name}: {name} is missing")
    for name in sorted(found - expected):
        print(f"{path.name}: {name} should not be in it")
    if found == expected:
        print(f"{path.name}: {len(found)} files, {path.stat().st_size // 1024} KiB")
    return found == expected


def main(folder: Path) -> bool:
    """Check the one wheel and the one sdist in a folder."""
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    repository = {name for name in tracked() if not name.startswith(LEFT_OUT)}
    good = [compare(wheel, in_wheel(wheel), tracked("fastbp")), compare(sdist, in_sdist(sdist), repository)]
    return all(good)


if __name__ == "__main__":
    sys.exit(not main(Path(sys.argv[1])))
