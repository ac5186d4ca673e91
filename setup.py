"""What pyproject.toml cannot say: where this copy of the project comes from, and README with links that lead there.

Pictures and pages beside README are not beside the description that a package index shows. The address is
``SR_PLUGINS_ADDRESS`` (``https://host/owner/name``), else that of git's remote ``origin``. Without either nothing there
leads nowhere: links become their words, and pictures are left out.
"""

import os
import re
import subprocess
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
PAGES = {"Documentation": "tree/main/docs", "Changes": "blob/main/CHANGELOG.md", "Issues": "issues"}


def address() -> str:
    """The project's page, or nothing."""
    told = os.environ.get("SR_PLUGINS_ADDRESS", "")
    if not told and (ROOT / ".git").exists():
        command = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
        told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    told = re.sub(r"^(?:ssh://)?git@([^:/]+)[:/]", r"https://\1/", told).removesuffix("/").removesuffix(".git")
    return told if re.match(r"https?://[^@\s]+$", told) else ""


def described(home: str) -> str:
    """README; its links to files become links to the project's page, or words where that is not known."""
    text = (ROOT / "README.md").read_text("utf-8")
    if not home:
        text = re.sub(r"!\[[^\]]*\]\((?!\w+:|#)[^)]*\)\n*", "", text)
        return re.sub(r"\[([^\]]*)\]\((?!\w+:|#)[^)]*\)", r"\1", text)
    text = re.sub(r"(!\[[^\]]*\]\()(?!\w+:|#)", rf"\1{home}/raw/main/", text)
    return re.sub(r"((?<!!)\[[^\]]*\]\()(?!\w+:|#)", rf"\1{home}/blob/main/", text)


home = address()
setup(
    long_description=described(home),
    long_description_content_type="text/markdown",
    project_urls={"Homepage": home} | {name: f"{home}/{page}" for name, page in PAGES.items()} if home else {},
)
