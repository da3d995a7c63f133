"""ONNX Runtime's headers for C++, which its wheel lacks: out of Debian's package, unpacked and not installed."""

import shutil
from pathlib import Path

from mnist_bench.core import process
from mnist_bench.core.errors import EnvironmentProblem

PACKAGE, RELEASE = "libonnxruntime-dev", "trixie"
"""The first release that has it, with 1.21: newer libraries take programs that were compiled with its headers."""

KEYRINGS = tuple(f"/usr/share/keyrings/debian-archive-keyring.{suffix}" for suffix in ("pgp", "gpg"))
STEP_S = 300.0

CONFIGURATION = """
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
Dir::Log "{folder}";
Dir::Etc::SourceList "{folder}/sources.list";
Dir::Etc::SourceParts "-";
APT::Sandbox::User "";
Acquire::AllowInsecureRepositories "false";
Acquire::Languages "none";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
"""
"""Read after the system's own; its state stays as it is, and its keys are used. See `_install.CONFIGURATION`."""


def fetch(folder: Path) -> Path:
    """Let apt fetch the package from where this machine's Debian comes from; return what holds its `include`.

    Args:
        folder: an empty one, for this.

    Raises:
        EnvironmentProblem: this is no Debian, or the package cannot be fetched.
    """
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise EnvironmentProblem("there is no apt-get to fetch it with")
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    (folder / "state" / "status").touch()  # nothing is installed
    (folder / "sources.list").write_text(_source(folder), encoding="utf-8")
    (folder / "apt.conf").write_text(CONFIGURATION.format(folder=folder), encoding="utf-8")
    apt = ("apt-get", "-c", str(folder / "apt.conf"), "-qq")
    _run((*apt, "update"), folder)
    _run((*apt, "download", PACKAGE), folder)
    (archive,) = folder.glob(f"{PACKAGE}_*.deb")
    _run(("dpkg-deb", "--extract", str(archive), str(folder / "unpacked")), folder)
    return folder / "unpacked" / "usr"


def _source(folder: Path) -> str:
    """Return the line that names the release at the mirror that this machine uses, with Debian's own keys."""
    wanted = ("Identifier: Packages", "Origin: Debian", "Label: Debian")
    sites = _run(("apt-get", "indextargets", "--format", "$(SITE)", *wanted), folder).split()
    if not sites:
        raise EnvironmentProblem("apt knows no mirror of Debian")
    keys = [f"[signed-by={path}] " for path in KEYRINGS if Path(path).exists()]
    return f"deb {''.join(keys[:1])}{sites[0]} {RELEASE} main\n"


def _run(command: tuple[str, ...], folder: Path) -> str:
    return process.run(command, folder=folder, environment=process.inherited(), time_limit_s=STEP_S)
