"""Objects of plugins that fail when they are looked at: told in one line with the distribution, nothing else stops."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import nearest, on_cpu

from sr_plugins import BackendSpec, Frame, FrameFormat, LoadedModel, Upscaler
from sr_plugins.engine.placed_network import FINEST, PlacedNetwork
from sr_plugins.errors import Escape, PluginError, SRError, WeightsError, described, one_line, others_code
from sr_plugins.interface.backend import Coding
from sr_plugins.plugins import Plugins

Install = Callable[..., None]
START = """
import sys, torch
from pathlib import Path
from sr_plugins import *
from sr_plugins.interface.network import NcnnNetwork, OnnxNetwork, TorchNetwork
class Silent(Exception):
    def __str__(self): raise ValueError("no text")
class Own(BaseException): pass
def silent(*arguments, **options): raise Silent()
def throw(error): raise error
class Bad:
    __repr__ = __bool__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __hash__ = silent
    shape = property(silent)
class BadInt(int):
    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __hash__ = __repr__ = silent
class BadText(str):
    __eq__ = __hash__ = __lt__ = __len__ = silent
class BadTuple(tuple):
    __iter__ = __len__ = __contains__ = silent
def module(forward=lambda self, x: up(x), **more):
    return type("Net", (torch.nn.Module,), dict(forward=forward, **more))()
def up(x): return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
def one(**more):
    return dict(name="odd", scale=2, channels="luma", build=module, receptive_radius=0, needs_weights=False) | more
def way(**more):
    return dict(name="odd", build=lambda n, p: up, precisions=lambda device: ("float32",)) | more
class Model(ModelSpec):
    def __init__(self, name): super().__init__(**one(name=name))
class Loud(ModelSpec):
    usable = label = property(silent)
"""


def hook(name: str, body: str) -> str:
    return f"{START}\n@hookimpl\ndef {name}({'path' if name == 'sr_open_weights' else ''}):\n    {body}\n"


def gray() -> Frame:
    return Frame([np.arange(48, dtype=np.uint8).reshape(6, 8)], FrameFormat(family="gray"))


def ours_are_there(found: Plugins) -> None:
    assert {"fast", "tiny"} <= {spec.name for spec in found.models()}
    assert {"torch", "openvino"} <= {spec.name for spec in found.backends()}
    assert all(spec.usable is not None and spec.label for spec in found.models())


# what is listed -> whether it is a model all the same
LISTED = {
    "raise Silent()": False,
    "raise Own('x')": False,
    "return [Bad()]": False,
    "return [ModelSpec(**one(name='auto'))]": False,
    "return [ModelSpec(**one(build=torch.nn.Identity))]": True,  # a class is a function, too
    "return [ModelSpec(**one(working_bytes='x'))]": False,
    "return [ModelSpec(**one(minimum_size=10**9))]": False,
    "return [ModelSpec(**one(size_multiple=10**9))]": False,
    "return [ModelSpec(**one(receptive_radius=None, tile_error='x'))]": False,
    "while True: yield None": False,
    "n = 0\n    while True: n += 1; yield ModelSpec(**one(name=f'odd{n}'))": False,
    "return [ModelSpec(**one(name=BadText('odd')))]": False,
    "return [ModelSpec(**one(scale=BadInt(2)))]": False,
    "return [Model('odd')]": True,
    "return [Loud(**one())]": True,
}


@pytest.mark.parametrize(("body", "listed"), LISTED.items())
def test_what_cannot_be_looked_at_stops_nobody(install: Install, body: str, listed: bool) -> None:
    install("sr-plugins-odd", hook("sr_models", body))
    found = Plugins()
    ours_are_there(found)
    assert ("odd" in {spec.name for spec in found.models()}) == listed
    assert [p.startswith("plugin sr-plugins-odd: ") and len(p.splitlines()) == 1 for p in found.problems] == (
        [] if listed else [True]
    )


@pytest.mark.parametrize("source", ["raise Silent()", "raise Own()"])
def test_an_import_whose_error_has_no_text_is_told(install: Install, source: str) -> None:
    install("sr-plugins-odd", START + source)
    found = Plugins()
    ours_are_there(found)
    assert [p.startswith("plugin sr-plugins-odd: ") for p in found.problems] == [True]


def test_an_error_without_a_text_is_one_line() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise ValueError

    class Number(Exception):
        def __str__(self) -> str:
            return 3  # type: ignore[return-value]

    assert one_line(Silent()) == one_line(Number()) == "its message cannot be read"


@pytest.mark.parametrize("raised", [SystemExit("3"), GeneratorExit("x"), KeyError("x"), BaseException("x")])
def test_what_others_code_raises_is_an_exception(raised: BaseException) -> None:
    with pytest.raises(Exception) as error, others_code():  # noqa: PT011 - which one stands below
        raise raised
    assert error.value is raised or error.value.__cause__ is raised
    assert described(error.value) == f"{type(raised).__name__}: {raised}"


def test_a_persons_interrupt_passes_and_a_threads_own_does_not() -> None:
    def interrupted() -> None:
        with others_code():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with ThreadPoolExecutor(1) as pool, pytest.raises(Escape, match="KeyboardInterrupt"):
        pool.submit(interrupted).result()


# a backend's answer -> whether it runs all the same, in one lane
ANSWERS = {
    "lanes=lambda d: 10**9": True,
    "lanes=lambda d: Bad()": True,
    "lanes=lambda d: BadInt(2)": True,
    "lanes=silent": True,
    "lanes=lambda d: throw(Own())": True,
    "precisions=lambda d: Bad()": False,
    "precisions=lambda d: BadTuple(('float32',))": False,
    "precisions=lambda d: (BadText('float32'),)": False,
    "precisions=silent": False,
    "missing=lambda: Bad()": False,
    "missing=lambda: throw(Own())": False,
    "build=silent": False,
    "build=lambda n, p: throw(Own())": False,
    "build=lambda n, p: silent, out_of_memory=lambda e: Bad()": False,
    "build=lambda n, p: silent, out_of_memory=silent": False,
    "build=lambda n, p: lambda x: throw(Own())": False,
    "build=lambda n, p: lambda x: throw(KeyboardInterrupt())": False,
    "build=lambda n, p: lambda x: throw(GeneratorExit())": False,
    "build=lambda n, p: lambda x: up(x) / 0": False,
    "build=lambda n, p: lambda x: torch.nn.parameter.UninitializedParameter()": False,
    "build=lambda n, p: lambda x: torch.nested.nested_tensor([up(x)[0]])": False,
    "build=lambda n, p: lambda x: up(x).as_subclass(type('S', (torch.Tensor,), dict(shape=property(silent))))": False,
    "build=lambda n, p: type('R', (), dict(__call__=lambda s, x: up(x), codes=property(silent)))()": False,
}


@pytest.mark.parametrize(("answer", "runs"), ANSWERS.items())
def test_whatever_a_backend_answers_names_its_distribution(install: Install, answer: str, runs: bool) -> None:
    install("sr-plugins-odd", hook("sr_backends", f"return [BackendSpec(**way({answer}))]"))
    found, before = Plugins(), threading.active_count()
    try:
        with Upscaler("tiny", 2, backend="odd", plugins=found, device="cpu") as upscaler:
            assert upscaler.upscale(gray()).width == 16
            assert threading.active_count() == before + 1
            told = " ".join(found.problems)
        done = True
    except SRError as error:
        told, done = str(error), False
    assert done == runs
    assert "sr-plugins-odd" in told
    assert len(told.splitlines()) == 1


@pytest.mark.parametrize("raised", ["Own('x')", "KeyboardInterrupt()", "Silent()"])
def test_what_a_network_raises_is_its_own(install: Install, raised: str) -> None:
    """An interrupt too: signals come to the main thread, and networks run in others."""
    build = f"lambda: module(lambda self, x: throw({raised}))"
    install("sr-plugins-odd", hook("sr_models", f"return [ModelSpec(**one(build={build}))]"))
    with (
        Upscaler("odd", plugins=Plugins(), device="cpu", backend="torch") as upscaler,
        pytest.raises(PluginError, match="plugin sr-plugins-odd"),
    ):
        upscaler.upscale(gray())


@pytest.mark.parametrize("build", ["lambda: torch.nn.Upsample", "lambda: module(eval=silent)"])
def test_what_is_no_network_is_told_when_it_is_built(install: Install, build: str) -> None:
    install("sr-plugins-odd", hook("sr_models", f"return [ModelSpec(**one(build={build}))]"))
    with pytest.raises(PluginError, match="plugin sr-plugins-odd: build of odd returned"):
        Upscaler("odd", plugins=Plugins(), device="cpu", backend="torch")


TRAINING = "torch.nn.Sequential(torch.nn.Upsample(scale_factor=2), torch.nn.Dropout(0.5)).train()"


def dropped_nothing(loaded: LoadedModel, found: Plugins) -> bool:
    with Upscaler(loaded, plugins=found, device="cpu", backend="torch", precision="float32") as upscaler:
        return np.array_equal(upscaler.upscale(gray()).planes[0], gray().planes[0].repeat(2, 0).repeat(2, 1))


def test_networks_of_plugins_are_put_into_eval_mode(install: Install, tmp_path: Path) -> None:
    body = f"return LoadedModel(ModelSpec(**one()), TorchNetwork({TRAINING}))"
    install("sr-plugins-odd", hook("sr_open_weights", body))
    (tmp_path / "a.odd").write_bytes(b"x")
    found = Plugins()
    assert dropped_nothing(found.open_weights(tmp_path / "a.odd"), found)


# what a reader does -> what is said of it
READERS = {
    "raise KeyError": "KeyError",
    "sys.exit(1)": "SystemExit: 1",
    "raise Silent()": "cannot be read",
    "raise Own('x')": "Own: x",
    "return 'yes'": "'yes', which is no LoadedModel",
    "return module()": "which is no LoadedModel",
    "return Bad()": "a Bad, which is no LoadedModel",
    "return LoadedModel(None, TorchNetwork(module()))": "which is no ModelSpec",
    "return LoadedModel(ModelSpec(**one()), module())": "which is no TorchNetwork",
    "return LoadedModel(ModelSpec(**one()), OnnxNetwork(None, 1, 2))": "graph None",
    "return LoadedModel(ModelSpec(**one()), OnnxNetwork('x', 'a', 'b'))": "graph 'x'",
    "return LoadedModel(ModelSpec(**one()), NcnnNetwork('x', b'', 'a', 'b', scale='2'))": "scale '2'",
    "return LoadedModel(ModelSpec(**one()), TorchNetwork('x'))": "no torch.nn.Module",
    "return LoadedModel(ModelSpec(**one()), TorchNetwork(torch.nn.Upsample))": "no torch.nn.Module",
    "return LoadedModel(ModelSpec(**one()), TorchNetwork(module(eval=silent)))": "cannot be read",
    "return LoadedModel(ModelSpec(**one()), TorchNetwork(module()), card='x')": "it is a dict",
}


@pytest.mark.parametrize(("body", "says"), READERS.items())
def test_a_reader_that_fails_costs_only_the_files_that_nobody_else_reads(
    install: Install, tmp_path: Path, body: str, says: str
) -> None:
    install("sr-plugins-odd", hook("sr_open_weights", body))
    found = Plugins()
    shipped = found.model("tiny", 2).weights
    assert shipped is not None
    assert found.open_weights(shipped).spec.label == "tiny x2"
    (tmp_path / "a.odd").write_bytes(b"\0\1\2")
    told = f"a.odd is no weights file .*plugin sr-plugins-odd: its sr_open_weights failed: .*{says}"
    with pytest.raises(WeightsError, match=told):
        Upscaler(tmp_path / "a.odd", plugins=found)


@pytest.mark.parametrize("path", ["a\\0b.safetensors", "a" * 5000 + ".safetensors", "/"])
def test_weights_under_names_that_no_file_can_have(install: Install, path: str) -> None:
    install(
        "sr-plugins-odd", hook("sr_models", f"return [ModelSpec(**one(weights=Path('{path}'), needs_weights=True))]")
    )
    with pytest.raises(WeightsError, match="no weights for odd x2"):
        Upscaler("odd", plugins=Plugins(), device="cpu", backend="torch")


@pytest.mark.parametrize("coding", [None, FINEST])
def test_a_runner_is_checked_where_parts_are_tried_too(coding: Coding | None) -> None:
    """Before resting parts of frames are kept, the runner is called beside the frames themselves."""
    spec = BackendSpec(name="odd", build=lambda n, p: lambda x: None, precisions=lambda device: ("float32",))  # type: ignore[arg-type,return-value]
    network = PlacedNetwork(nearest(), spec, on_cpu(), ("sr-plugins-odd",))
    with pytest.raises(SRError, match=r"on backend odd \(plugin sr-plugins-odd\) returned NoneType"):
        network.finest(coding)(torch.rand(1, 1, 8, 8))
