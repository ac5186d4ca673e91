"""The registered models of ours, for tests that ask something of each."""

from sr_plugins.interface.model import ModelSpec
from sr_plugins.plugins import Plugins

MODELS = Plugins(installed=False).models()
COUNT = {"luma": 1, "rgb": 3}


def label(spec: ModelSpec) -> str:
    return spec.label
