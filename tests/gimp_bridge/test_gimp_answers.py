"""GIMP's procedures answer False where they fail; which ones do, a real GIMP 3 says (see test_gimp3.py)."""

import ast
import os
import re
import subprocess
from pathlib import Path

import pytest
from gimp_chroot import ROOT, make_root

import gimp_bridge

PLUG_IN = Path(gimp_bridge.__file__).parent / "plug_in" / "sr_upscale"
# what is shown, and brackets around work: where they fail, no pixel and no property is another; and what answers
# nothing where the plug-in calls it, copy of GEGL's buffers and set_opacity of effects
PASSED_OVER = re.compile(
    r"copy|set_opacity|update|undo_group_(start|end)|context_(push|pop)|displays_flush|progress_\w+"
)
# prints which of its arguments are names of procedures that answer with a truth value
ASK = """
import gi, sys
gi.require_version("Gimp", "3.0")
from gi.repository import Gimp
places = [Gimp, *(getattr(Gimp, name) for name in dir(Gimp) if isinstance(getattr(Gimp, name), type))]
for name in sys.argv[1:]:
    answers = [getattr(getattr(place, name, None), "get_return_type", None) for place in places]
    if any(answer and answer().get_tag_as_string() == "gboolean" for answer in answers):
        print(name)
"""


def answering(*names: str) -> list[str]:
    ask = ["chroot", str(ROOT), "/usr/bin/python3", "-c", ASK, *names]
    return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.split()


def test_every_false_is_read() -> None:
    if reason := make_root():
        if os.environ.get("SR_PLUGINS_REQUIRE_GIMP") == "1":
            pytest.fail(f"SR_PLUGINS_REQUIRE_GIMP=1, but {reason}")
        pytest.skip(f"no GIMP 3: {reason}")
    unread = set()
    for name in ("sr_upscale", "gimp_pixels"):
        for node in ast.walk(ast.parse((PLUG_IN / f"{name}.py").read_text())):
            called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
            if isinstance(called, ast.Attribute) and not PASSED_OVER.fullmatch(called.attr):
                unread.add(called.attr)
    assert answering("set_offsets", "append_filter", "set_visible") == ["set_offsets", "set_visible"]
    assert answering(*sorted(unread)) == []
