"""How `make docs` makes a site of this folder: Sphinx, Markdown by MyST, the reference from docstrings."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sphinx.application import Sphinx
from sphinx.errors import SphinxError

import gimp_bridge
import sr_plugins

# autodoc looks into a module's dictionary, where late names are not before they were asked for
for module in (sr_plugins, gimp_bridge):
    vars(module).update({name: getattr(module, name) for name in module.__all__})

project = "sr-plugins"
author = "the sr-plugins authors"
version = release = sr_plugins.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["pictures"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = f"sr-plugins {version}"
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
templates_path: list[str] = []
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_default_options = {"members": True}
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
napoleon_use_ivar = True


class Page(HTMLParser):
    """What a page links to, and the anchors it has."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.links += [link for key in ("href", "src") if (link := found.get(key))]
        self.anchors |= {name for key in ("id", "name") if (name := found.get(key))}


def check_links(app: Sphinx, error: Exception | None) -> None:
    """Every link of the site leads to a file of the site and to an anchor in it, or to another host."""
    if error or app.builder.format != "html":
        return
    root = Path(app.outdir).resolve()
    pages = {path: Page(path) for path in root.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            misses_anchor = target in pages and parts.fragment and unquote(parts.fragment) not in pages[target].anchors
            if not target.is_relative_to(root) or not target.is_file() or misses_anchor:
                broken.append(f"{path.relative_to(root)}: {link}")
    if broken:
        raise SphinxError("broken links:\n" + "\n".join(sorted(set(broken))))


def setup(app: Sphinx) -> None:
    app.connect("build-finished", check_links)
