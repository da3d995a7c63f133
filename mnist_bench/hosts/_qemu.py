"""Processors that QEMU's user emulation shows to unmodified programs: what each of them is, and how a worker starts.

An x86 processor runs this very Python and its packages. An ARM one runs those of a root, see `_root`; QEMU shows it the
machine's own /proc/cpuinfo, so that it gets one that fits: libraries choose kernels by it, or crash.
"""

import functools
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import mnist_bench
from mnist_bench.core.errors import BadInput
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.process import inherited
from mnist_bench.core.types import Check
from mnist_bench.hosts import _root
from mnist_bench.hosts._contract import SYSROOT, Launch, Sysroot
from mnist_bench.hosts.command import launch as launch_command
from mnist_bench.hosts.here import WORKER
from mnist_bench.worker.instructions import HWCAP_BITS

ONNXRUNTIME = ("onnxruntime",)  # under emulation, importing torch alone takes most of a minute
X86, ARM = "qemu-x86_64", "qemu-aarch64"
MACHINES = {X86: 62, ARM: 183}
"""The kind of machine at byte 18 of an ELF file (e_machine)."""
ELF, AT_MACHINE, HEAD = b"\x7fELF", 18, 20
REMEDY = "apt-get install qemu-user"
ARM_COMPILER = "aarch64-linux-gnu-gcc"
"""Of this machine: what an emulated program starts, QEMU lets the machine itself run."""

OF_THIS_PROCESSOR = (
    *("OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"),
    *("MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR"),
)
"""Variables by which a user chooses kernels for the machine's own processor: an emulated one may lack what they use."""

ASK_S = 10.0  # for a program to say its version
FEATURES = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"

BOOTSTRAP = """
import importlib.util, runpy, sys
sys.path.insert(0, {site!r})
spec = importlib.util.spec_from_file_location("mnist_bench", {package!r} + "/__init__.py")
spec.submodule_search_locations = [{package!r}]
sys.modules["mnist_bench"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["mnist_bench"])
{then}
"""
"""Our package alone, and not the folder it lies in: beside it may be a NumPy that is made for another processor."""
SERVE = 'runpy.run_module("mnist_bench.worker", run_name="__main__", alter_sys=True)'


@dataclass(frozen=True)
class Processor:
    """An emulated processor: its name, what QEMU calls its model, and which of QEMU's programs shows it.

    `instructions` are its instruction sets, of those that a worker can tell; None where they are whatever QEMU has, in
    a trial of the emulator that is a processor of nobody's.
    `cpuinfo` are the lines of /proc/cpuinfo for a core of it; None where programs do not read them.
    """

    name: str
    model: str
    program: str
    instructions: Set[str] | None
    cpuinfo: Mapping[str, str] | None = None

    def why_unavailable(self) -> Skipped | None:
        """Return why it cannot be used here, or None."""
        if not found(self.program):
            return Skipped(self.name, f"{self.program} is not installed", REMEDY)
        if self.program == ARM:
            return _root.why_unusable(self.name)
        if platform.machine() != "x86_64":
            return Skipped(
                self.name, f"this Python is made for {platform.machine()}", "use a machine with an x86-64 processor"
            )
        return None

    def launch(self, argument: str) -> Launch:
        """Say how a worker is started on it; or, where there is an argument, that command.

        Raises:
            BadInput: the command names no program that such a processor can run.
        """
        if argument:
            return self._program(launch_command(argument))
        if self.program == X86:
            return self._launch((sys.executable, *WORKER))
        root = _root.place()
        package = str(Path(mnist_bench.__file__).parent)
        code = BOOTSTRAP.format(site=str(root / _root.SITE), package=package, then=SERVE)
        return self._launch((str(root / _root.PYTHON), "-I", "-B", "-c", code))

    def _launch(self, command: tuple[str, ...]) -> Launch:
        options: tuple[str, ...] = ("-cpu", self.model, "-U", ",".join(OF_THIS_PROCESSOR))
        sysroot = None
        if self.program == ARM:
            options += ("-L", SYSROOT, "-U", "LD_PRELOAD", "-U", "LD_LIBRARY_PATH")
            sysroot = self.sysroot(_root.place())
        whole = (found(self.program) or self.program, *options, *command)
        environment = {**inherited(), **self.compiler()}
        return Launch(self.name, whole, environment, processor=self.name, sysroot=sysroot)

    def compiler(self) -> dict[str, str]:
        """Return the environment variables by which C is compiled for it, and not for this machine's own processor."""
        if self.program == ARM:
            return {
                "CC": shutil.which(ARM_COMPILER) or ARM_COMPILER,
                "CFLAGS": "-march=armv8-a" if self.instructions is None else f"-mcpu={self.model}",
            }
        has = self.instructions or set()
        level = " -mavx2 -mfma" if {"avx2", "fma"} <= has else " -msse4.2" if "sse4_2" in has else ""
        return {"CFLAGS": f"-march=x86-64{level}"}

    def _program(self, given: Launch) -> Launch:
        """Start a command on it; where the root has a program of that name, `python3` perhaps, that one."""
        name, *words = given.command
        path = _resolved(name, Path(given.folder or "."), self.program)
        self._check_program(name, path)
        made = self._launch((str(path), *words))
        options = made.command
        if self.program == ARM:  # what the root's Python can import
            variables = f"PYTHONPATH={_root.place() / _root.SITE},PYTHONDONTWRITEBYTECODE=1"  # the root stays as it is
            options = (*options[:1], "-E", variables, *options[1:])
        label = f"{given.label} on {self.name}"
        return replace(given, label=label, command=options, processor=self.name, sysroot=made.sysroot)

    def _check_program(self, name: str, path: Path) -> None:
        """Raise BadInput where a file is no program for this kind of processor: QEMU would say less."""
        try:
            with path.open("rb") as file:
                head = file.read(HEAD)
        except OSError as error:
            raise BadInput(f"{name} cannot be read: {error.strerror}") from error
        if not head.startswith(ELF):
            raise BadInput(
                f"{name} is no program that {self.name} can run, but a script perhaps: name its interpreter before it"
            )
        if int.from_bytes(head[AT_MACHINE:HEAD], "little") != MACHINES[self.program]:
            raise BadInput(f"{name} is made for another kind of processor than {self.name}: compile it for that")

    def sysroot(self, root: Path) -> Sysroot:
        """Return what its programs see as `/`: a root, with a /proc/cpuinfo of its own, a block of lines a core."""
        blocks = ({"processor": str(core), **(self.cpuinfo or {})} for core in range(os.cpu_count() or 1))
        lines = ("".join(f"{key}\t: {value}\n" for key, value in block.items()) for block in blocks)
        return Sysroot(root, "".join(f"{block}\n" for block in lines))

    def why_refused(self, instructions: Iterable[str], checks: Iterable[Check] = ()) -> str | None:
        """Return why what an emulator shows does not count, by its instruction sets and its known answers; or None."""
        wrong = [f"{one.name}: {one.wrong} of {one.cases} wrong" for one in checks if one.wrong]
        return f"known answers come out wrong ({'; '.join(wrong)})" if wrong else self.why_another(instructions)

    def why_another(self, instructions: Iterable[str]) -> str | None:
        """Return what tells instruction sets from this processor's, or None: older versions of QEMU leave some out."""
        if self.instructions is None:
            return None
        there = set(instructions)
        if lacking := ", ".join(sorted(self.instructions - there)):
            return f"it lacks {lacking}, which such a processor has"
        odd = ", ".join(sorted(there - self.instructions))
        return f"it has {odd}, which no such processor has" if odd else None

    def emulator(self) -> str:
        """Return which emulator shows it, with its version: `qemu-x86_64 7.2.22`."""
        return f"{self.program} {_version(found(self.program) or self.program)}"

    def libraries(self) -> dict[str, str]:
        """Return the versions of what its Python imports: those that are installed here, and in the root too."""
        return _root.versions()


def x86(name: str, model: str, instructions: str) -> Processor:
    """Return an x86 processor, by the name that QEMU has for its model, and its instruction sets."""
    return Processor(name, model, X86, set(instructions.split()))


def arm(
    name: str, model: str, part: int, implementer: int = 0x41, features: str = "", *, trial: bool = False
) -> Processor:
    """Return an ARM processor.

    Args:
        name: what it is called here.
        model: what QEMU calls it.
        part: its part number, as in MIDR_EL1 and /proc/cpuinfo.
        implementer: who designed it; ARM, unless told.
        features: what it has beyond ARMv8.0 with the cryptography extension, in Linux's words.
        trial: it is no processor of anybody's, and may have more than that.
    """
    whole = f"{FEATURES} {features}".strip()
    lines = {
        "BogoMIPS": "62.50",
        "Features": whole,
        "CPU implementer": f"{implementer:#04x}",
        "CPU architecture": "8",
        "CPU variant": "0x0",
        "CPU part": f"{part:#05x}",
        "CPU revision": "0",
    }
    return Processor(name, model, ARM, None if trial else HWCAP_BITS.keys() & whole.split(), lines)


def found(program: str) -> str | None:
    """Return where a program of QEMU's is, in either of the two ways in which it is packaged."""
    return shutil.which(program) or shutil.which(f"{program}-static")


@functools.cache
def _version(path: str) -> str:
    """Ask a program for its version, once: by its path, for another may be put in its way."""
    try:
        done = subprocess.run(  # noqa: S603 a program of a known name
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=ASK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return "?"
    told = re.search(r"version (\d[\w.]*)", done.stdout)
    return told[1] if told else "?"


def _resolved(name: str, folder: Path, program: str) -> Path:
    """Return where a program is: as a path, in the root of ARM programs, or where a shell would find it."""
    if os.sep in name:
        return folder / name
    inner = _root.place() / "usr" / "bin" / name
    if program == ARM and inner.exists():
        return inner
    outer = shutil.which(name)
    return Path(outer) if outer else _no_program(name)


def _no_program(name: str) -> NoReturn:
    raise BadInput(f"there is no program {name!r}: give its path")
