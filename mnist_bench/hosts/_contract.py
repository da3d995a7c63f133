"""What a host is."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mnist_bench.core.kinds import Skipped

if TYPE_CHECKING:
    from mnist_bench.hosts._qemu import Processor


@dataclass(frozen=True)
class Host:
    """A place where a worker runs: its kind, and what else tells which it is."""

    kind: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.argument}" if self.argument else self.kind


HERE = Host("here")
"""This machine, this Python."""


SYSROOT = "{sysroot}"
"""The word of a command that stands for the folder that a `Sysroot` makes."""


@dataclass(frozen=True)
class Sysroot:
    """Where programs of another kind of processor find what they open by absolute paths.

    All of `root`, and a /proc/cpuinfo of its own for each processor.
    """

    root: Path
    cpuinfo: str

    def made(self, folder: Path) -> Path:
        """Make it in a new folder, which is returned."""
        (folder / "proc").mkdir(parents=True)
        (folder / "proc" / "cpuinfo").write_text(self.cpuinfo, encoding="ascii")
        for path in self.root.iterdir():
            if path.name != "proc":
                (folder / path.name).symlink_to(path)
        return folder


@dataclass(frozen=True)
class Launch:
    """How a worker is started: a command that no shell reads, and the environment variables of its process.

    `label` is what the host is called where targets are named, and `folder` where it runs (in a folder of its own,
    unless told). A command that `reads_path` has the model's file among its arguments, in place of `{model}`.
    `processor` is the emulated one that it runs on, and empty for this machine's own.
    """

    label: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    folder: str | None = None
    reads_path: bool = False
    processor: str = ""
    sysroot: Sysroot | None = None


class HostModule(Protocol):
    """A kind of host: a module of this folder.

    It may also have `install(tell)`, which fetches or builds what it needs and returns where; `ONLY`, whether it has no
    other runtimes than its `RUNTIMES`, and then `BORDER_TYPES`, of which types models of other signatures are;
    `why_without(runtime)`, a `Skipped` or None; `version()`, of what answers there; and `installed_bytes(runtime)`, the
    size of its libraries on disk, or None.
    """

    @property
    def ARGUMENT(self) -> bool:  # noqa: N802
        """Whether its name is followed by an argument."""

    @property
    def RUNTIMES(self) -> tuple[str, ...] | None:  # noqa: N802
        """The runtimes that are tried there where none is named; None for all that are installed; () for its own."""

    @property
    def TIMED(self) -> bool:  # noqa: N802
        """Whether times that are measured there say anything: an emulated processor's do not."""

    @property
    def PROCESSOR(self) -> "Processor | None":  # noqa: N802
        """The emulated processor that it is; None where nothing is emulated."""

    def why_unavailable(self) -> Skipped | None:
        """Return why it cannot be used here, or None."""

    def launch(self, argument: str) -> Launch:
        """Say how a worker is started there; raises BadInput where the argument makes no sense."""
