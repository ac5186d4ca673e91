"""Processes that begin with torch imported: one interpreter imports it and forks for each that a test starts.

``python`` stands for ``subprocess.run([sys.executable, ...])``: a process of its own with its own environment, folder
and descriptors. It ends as Python ends, up to where all objects are freed, which would take longer than most tests:
that is done where it is asked for (``whole_end``). What imports cost, and what is imported at all, is tested with
``subprocess``.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TextIO

PRELOADED = (
    "torch", "rich.console", "sr_plugins.cli.image", "sr_plugins.cli.models", "sr_plugins.cli.video",
    "sr_plugins.testing", "gimp_bridge.worker",
)  # fmt: skip


# what training imports when it makes an optimizer and a plot: some four seconds
TRAINING = ("torch._dynamo", "matplotlib.figure", "matplotlib.backends.backend_agg", "sr_plugins.training.run.queue")


class Started:
    """A process that was forked; as ``subprocess.Popen``, as far as tests need it."""

    def __init__(self, command: list[str], stdin: int, stdout: int, stderr: int, **more: Any) -> None:
        mine, its = socket.socketpair()
        with its, _asking:
            request = json.dumps({"command": command, **more}).encode()
            socket.send_fds(_server(), [request], [stdin, stdout, stderr, its.fileno()])
        self._told = mine
        self.pid = int(self._line())
        self.returncode: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("python", timeout or 0)
            self.returncode = int(self._line())
            self._told.close()
        return self.returncode

    def poll(self) -> int | None:
        """The status of a process that ended, else ``None``."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def kill(self) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it ended
                os.kill(self.pid, signal.SIGKILL)

    def _line(self) -> bytes:
        text = b""
        while not text.endswith(b"\n"):
            more = self._told.recv(1)
            assert more, "the interpreter that forks is gone"
            text += more
        return text


def start(
    *command: object,
    stdin: int,
    stdout: int,
    stderr: int = 2,
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    imports: Sequence[str] = (),
    foreground: bool = False,
    whole_end: bool = False,
) -> Started:
    """``python COMMAND`` on these descriptors.

    The command begins with ``-c``, ``-m`` (or ``-P`` before it) or the path of a script. ``imports``: modules that it
    is to find imported, beside those that all do. ``foreground``: in a group of its own and deaf to no signal, as a
    shell starts a command. ``whole_end``: Python also frees all objects, in which libraries may abort it.
    """
    environment = dict(os.environ if env is None else env)
    more: dict[str, Any] = {
        "env": environment,
        "cwd": str(cwd or Path.cwd()),
        "imports": [*imports],
        "foreground": foreground,
        "whole_end": whole_end,
    }
    return Started([*map(str, command)], stdin, stdout, stderr, **more)


def called(
    *command: object,
    given: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
    timeout: float | None = None,
    imports: Sequence[str] = (),
    whole_end: bool = False,
) -> subprocess.CompletedProcess[bytes]:
    """What ``python COMMAND`` writes and how it ends; ``given`` comes through a pipe. The rest as in :func:`start`."""
    reading, writing = os.pipe()
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        os.fdopen(reading) as end,
        os.fdopen(writing, "wb") as pipe,
    ):
        streams = (end.fileno(), out.fileno(), err.fileno())
        process = start(
            *command,
            stdin=streams[0],
            stdout=streams[1],
            stderr=streams[2],
            env=env,
            cwd=cwd,
            imports=imports,
            whole_end=whole_end,
        )
        end.close()
        with contextlib.suppress(BrokenPipeError):  # it need not read all
            pipe.write(given)
            pipe.flush()
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
        try:
            process.wait(timeout)
        except BaseException:
            process.kill()
            process.wait()
            raise
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read())
    assert process.returncode is not None
    return subprocess.CompletedProcess([*map(str, command)], process.returncode, *said)


def python(*command: object, **more: Any) -> subprocess.CompletedProcess[str]:
    """As :func:`called`, in text."""
    done = called(*command, **more)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


@contextlib.contextmanager
def in_foreground(
    *command: object, env: Mapping[str, str] | None = None, cwd: str | Path | None = None
) -> Iterator[tuple[Started, TextIO]]:
    """``python COMMAND`` without input or output, as a shell starts it, and what it says; killed at the end."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as said, Path(os.devnull).open("r+") as nothing:
        silent = nothing.fileno()
        process = start(
            *command, stdin=silent, stdout=silent, stderr=writing, env=env, cwd=cwd, foreground=True, whole_end=True
        )
        os.close(writing)
        try:
            yield process, said
        finally:
            process.kill()
            process.wait()


def srp(
    *arguments: object, env: Mapping[str, str] | None = None, cwd: str | Path | None = None
) -> subprocess.CompletedProcess[str]:
    """``srp ARGUMENTS`` in a process of its own."""
    return python("-m", "sr_plugins.cli", *arguments, env=env, cwd=cwd)


_asking = threading.Lock()


@cache
def _server() -> socket.socket:
    mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with its:
        command = [sys.executable, __file__, str(its.fileno())]
        paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        process = subprocess.Popen(
            command,
            pass_fds=[its.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )

    def end() -> None:
        mine.close()
        process.wait()

    atexit.register(end)
    return mine


# -- in the interpreter that forks -------------------------------------------------------------------------------------


def _import(names: Sequence[str]) -> None:
    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # memory that no collection looks through stays shared


def _next_process(asked: socket.socket) -> dict[str, Any]:
    """Fork for every request until nobody can ask any more; returns in the new processes only, with what to run."""
    while True:
        text, descriptors, _, _ = socket.recv_fds(asked, 1 << 20, 4)
        if not text:
            os._exit(0)
        request: dict[str, Any] = json.loads(text)
        if not sys.modules.keys() >= set(request["imports"]):
            _import(request["imports"])
        if os.fork() == 0:
            *streams, told = descriptors
            asked.close()
            pid = os.fork()
            if pid == 0:
                os.close(told)
                for number, descriptor in enumerate(streams):
                    os.dup2(descriptor, number)
                    os.close(descriptor)
                return request
            for descriptor in streams:
                os.close(descriptor)
            os.write(told, b"%d\n" % pid)
            _, status = os.waitpid(pid, 0)
            os.write(told, b"%d\n" % os.waitstatus_to_exitcode(status))
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)
        while True:  # those that ended
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break


def _open_streams(*, unbuffered: bool) -> None:
    """The standard streams anew: what those of the parent know, as whether one can seek, is of /dev/null."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old: TextIO = getattr(sys, name)
        mode, buffering = "w" if number else "r", 1 if number == 2 else -1
        new = open(number, mode, buffering, old.encoding, old.errors, closefd=False)  # noqa: SIM115
        assert isinstance(new, io.TextIOWrapper)
        new.reconfigure(write_through=unbuffered)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)


def _run(request: dict[str, Any], before: list[str]) -> None:
    """What the interpreter does with its command line."""
    environment, command = request["env"], request["command"]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(request["cwd"])
    tempfile.tempdir = None
    _open_streams(unbuffered=bool(environment.get("PYTHONUNBUFFERED")))
    if request["foreground"]:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
    given = [str(Path(p).absolute()) for p in environment.get("PYTHONPATH", "").split(os.pathsep) if p]
    sys.path[:] = [*given, *(p for p in sys.path if p not in before)]
    importlib.invalidate_caches()
    if (threads := environment.get("OMP_NUM_THREADS")) is not None:
        sys.modules["torch"].set_num_threads(int(threads))
    if command[0] == "-P":
        command = command[1:]
    else:
        first = {"-c": "", "-m": request["cwd"]}.get(command[0], str(Path(command[0]).absolute().parent))
        sys.path.insert(0, first)
    kind = command[0] if command[0] in ("-c", "-m") else "script"
    what, *rest = command if kind == "script" else command[1:]
    sys.argv = [what if kind == "script" else kind, *rest]
    if kind == "script":
        runpy.run_path(what, run_name="__main__")
        return
    if kind == "-m":
        if not hasattr(sys.modules.get(what), "__path__"):
            sys.modules.pop(what, None)  # runpy warns of what is imported already
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), main.__dict__)


_status: int | None = 0  # with which to end at once; ``None``: as Python does


def _end_at_once() -> None:
    """The last thing before Python would take apart all that was imported, which takes more than a second."""
    if _status is None:
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        ctypes.CDLL(None).fflush(None)  # what libraries wrote that are not Python's
    except (OSError, ValueError):  # Python has a status of its own for that
        return
    os._exit(_status)


if __name__ == "__main__":
    atexit.register(_end_at_once)  # what others register later, while they are imported or run, comes before it
    first = [str(Path(__file__).parent), *os.environ["PYTHONPATH"].split(os.pathsep)]
    _import(PRELOADED)
    asked = _next_process(socket.socket(fileno=int(sys.argv[1])))
    try:
        _run(asked, first)
    except SystemExit as ending:
        _status = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        raise
    except KeyboardInterrupt:
        _status = None
        raise
    except BaseException:
        _status = 1
        raise
    finally:
        if asked["whole_end"]:
            _status = None
