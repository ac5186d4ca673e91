"""A real GIMP 3 in a chroot, with the plug-in installed and its worker outside."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import warm_python

import gimp_bridge
from gimp_bridge.install import Profile, install, make_bridge, worker_command

HERE = Path(__file__).parent
STOCK = ("python-eval", "file-png")  # of GIMP's own plug-ins: what runs the driver, and what writes and reads a link
REPOSITORY = Path(gimp_bridge.__file__).parents[1]
BEFORE = Path("/var/cache/sr-plugins/gimp3-root")  # where earlier versions made it
ROOT = Path(os.environ.get("SR_PLUGINS_GIMP_ROOT", BEFORE if BEFORE.is_dir() else REPOSITORY / "build" / "gimp3-root"))


def make_root() -> str | None:
    """Make the chroot if it is not there yet; the reason if that cannot be."""
    if os.name != "posix" or os.geteuid() != 0:
        return "only root can run GIMP in a chroot"
    if (ROOT / "usr/bin/gimp-console").exists():
        return None
    if not shutil.which("apt-get"):
        return f"no GIMP in {ROOT} and no apt to get it with"
    done = subprocess.run([HERE / "gimp3_root.sh", ROOT], capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"gimp3_root.sh failed: {' '.join(done.stderr.split()[-30:])}"


def write_test_plugin(folder: Path) -> dict[str, str]:
    """Make the distribution of gimp_test_models.py as pip would; the environment that shows it to a worker."""
    info = folder / "sr_plugins_gimp_test-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sr-plugins-gimp-test\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sr_plugins]\ntest = gimp_test_models\n")
    shutil.copy(HERE / "gimp_test_models.py", folder)
    path = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "tests", folder)))
    return {"PYTHONPATH": path, "SR_PLUGINS_TEST_WEIGHTS": str(folder)}


class WorkerHost:
    """Listens on ``path``; every connection becomes stdin and stdout of a new ``python ARGV``."""

    def __init__(self, path: Path, argv: Sequence[str], environment: dict[str, str]) -> None:
        self.workers: list[warm_python.Started] = []
        self.started = threading.Event()
        self._argv, self._environment = argv, environment
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                stream = connection.fileno()
                self.workers.append(warm_python.start(*self._argv, stdin=stream, stdout=stream, env=self._environment))
            self.started.set()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)
        for worker in self.workers:
            worker.kill()
            worker.wait()


class GimpInChroot:
    """Runs GIMP on lists of cases; see gimp_driver.py."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sr-plugins-", dir=ROOT / "tmp"))
        self.inside = Path("/") / self.folder.relative_to(ROOT)
        (self.folder / "home").mkdir()
        self.profile = Profile(self.folder / "GIMP" / "3.0", "given")
        environment = {**os.environ, **write_test_plugin(self.folder / "plugin")}
        os.environ["SR_PLUGINS_TEST_WEIGHTS"] = environment["SR_PLUGINS_TEST_WEIGHTS"]
        command = worker_command(Path(sys.executable), "cpu")
        self.host = WorkerHost(self.folder / "socket", command[1:], environment)
        self.bridge = make_bridge(command, environment)
        # A model that has gone since the installation: GIMP offers it, the worker does not know it.
        self.bridge["models"].append({"name": "gone", "label": "gone", "help": "", "scales": [2]})
        shutil.copy(HERE / "gimp_relay.py", self.folder)
        self.bridge["argv"] = ["/usr/bin/python3", str(self.inside / "gimp_relay.py"), str(self.inside / "socket")]
        self.bridge["environment"] = {}
        install(self.profile, self.bridge)
        self._spare_the_other_plug_ins()

    def _spare_the_other_plug_ins(self) -> None:
        """GIMP starts each of its plug-ins once in a new profile, a hundred programs that no test needs."""
        (stock,) = (ROOT / "usr/lib").glob("*/gimp/3.0/plug-ins")
        few = self.folder / "stock"
        few.mkdir()
        for name in STOCK:
            (few / name).symlink_to(Path("/") / stock.relative_to(ROOT) / name)
        folders = f"{self.inside}/GIMP/3.0/plug-ins:{self.inside}/stock"
        (self.folder / "GIMP" / "3.0" / "gimprc").write_text(f'(plug-in-path "{folders}")\n')

    def command(self, *arguments: str) -> list[str]:
        environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.inside / "home"),
            "GIMP3_DIRECTORY": str(self.inside / "GIMP" / "3.0"),
            "LANG": "C.UTF-8",
        }
        pairs = [f"{name}={value}" for name, value in environment.items()]
        return ["env", "-i", *pairs, "timeout", "600", "chroot", str(ROOT), "gimp-console", *arguments]

    def run(self, cases: list[dict[str, Any]]) -> str:
        """Run the cases; returns what GIMP wrote to stderr. Results lie in :attr:`folder`."""
        (self.folder / "cases.json").write_text(json.dumps(cases))
        shutil.copy(HERE / "gimp_driver.py", self.folder)
        script = f"CASES = '{self.inside}/cases.json'; exec(open('{self.inside}/gimp_driver.py').read())"
        batch = ["-i", "-d", "-f", "--batch-interpreter=python-fu-eval", "-b", script, "--quit"]
        done = subprocess.run(self.command(*batch), capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stderr

    def result(self, case: str) -> dict[str, Any]:
        result: dict[str, Any] = json.loads((self.folder / f"{case}.json").read_text())
        return result

    def plug_ins(self) -> list[int]:
        """Process ids of our running plug-in."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if f"{self.inside}/GIMP/3.0/plug-ins/sr_upscale/sr_upscale.py".encode() in command.split(b"\0"):
                    found.append(int(entry.name))
        return found

    def close(self) -> None:
        self.host.close()
        shutil.rmtree(self.folder)
