"""Help is quick: no command's help imports torch or anything else that takes seconds."""

import json
import subprocess
import sys

from sr_plugins.cli.main import COMMANDS
from sr_plugins.cli.video import command as video
from sr_plugins.video.transcode import CHUNK_FRAMES

HEAVY = ("torch", "openvino", "onnxruntime", "ray", "av", "imagecodecs", "tifffile", "matplotlib", "vapoursynth")

CODE = f"""
import json, sys
import click
from click.testing import CliRunner
from sr_plugins.cli.main import srp

def helps(command, words):
    done = CliRunner().invoke(srp, [*words, "--help"])
    found[" ".join(words)] = [done.exit_code, len(done.stdout), [m for m in {HEAVY} if m in sys.modules]]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            helps(command.get_command(context, name), [*words, name])

found = {{}}
helps(srp, [])
print(json.dumps(found))
"""


def test_no_help_imports_anything_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {"", *COMMANDS, "degradation estimate", "gimp install"} <= found.keys()
    assert {name: told for name, told in found.items() if told[0] or told[1] < 100 or told[2]} == {}


def test_the_chunk_that_help_tells_is_the_one_that_is_made() -> None:
    assert next(p.default for p in video.params if p.name == "chunk") == CHUNK_FRAMES
