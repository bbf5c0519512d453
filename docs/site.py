"""Hooks of the site's build: links to the repository's files, and drawings that follow the page's colours.

The pages are read in two places: in the repository, where ``[dense.py](../fastbp/kernels/dense.py)`` leads to a file
and a drawing is a picture, and on the site, which has no such file and two colour schemes. So what lies outside
``docs/`` and is linked becomes a page of the site, under ``source/``; and an SVG is put into the page itself, where
``site.css`` reaches it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)")
DRAWING = re.compile(r'<img alt="([^"]*)" src="([^"]+\.svg)"\s*/?>')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every file outside ``docs/`` that a page links."""
    for page in list(files.documentation_pages()):
        for path in _outside(page.src_uri, page.content_string):
            if not files.get_file_from_path(_page_of(path)):
                files.append(File.generated(config, _page_of(path), content=_shown(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to such a file lead to its page."""
    folder = os.path.dirname(page.file.src_uri)
    for path, link in _outside(page.file.src_uri, markdown).items():
        markdown = markdown.replace(f"]({link}", f"]({os.path.relpath(_page_of(path), folder or '.')}")
    return markdown


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put drawings into the page."""

    def drawing(found: re.Match[str]) -> str:
        label, source = found.groups()
        target = os.path.normpath(os.path.join(os.path.dirname(page.file.dest_uri), source))
        svg = (Path(config.docs_dir) / target).read_text(encoding="utf-8")
        return svg[svg.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}"', 1)

    return DRAWING.sub(drawing, html)


def _outside(page: str, markdown: str) -> dict[str, str]:
    """The repository's files that a page links, by path, and the links; not those in ``docs/``."""
    links = {os.path.normpath(f"docs/{os.path.dirname(page)}/{link}"): link for link in LINK.findall(markdown)}
    return {path: link for path, link in links.items() if not path.startswith("docs/") and (ROOT / path).is_file()}


def _page_of(path: str) -> str:
    return f"source/{path}" if path.endswith(".md") else f"source/{path}.md"


def _shown(path: str) -> str:
    """A file of the repository as a page: Markdown as it is, everything else as code. Search finds neither."""
    text, kind = (ROOT / path).read_text(encoding="utf-8"), PurePosixPath(path).suffix.lstrip(".")
    if kind == "md":
        # Its own links begin at the repository's top, where the site has docs/.
        return f"---\nsearch: {{exclude: true}}\n---\n{text.replace('](docs/', '](../')}"
    head = f"---\nsearch: {{exclude: true}}\nhide: [navigation, toc]\n---\n# {path}\n\n"
    return f"{head}````{{.{kind or 'text'} linenums=1}}\n{text}\n````\n"
