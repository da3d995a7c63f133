"""A folder of ARM programs in the user's cache: Debian's Python for arm64, and wheels for aarch64 of what is installed.

`_install` makes it. Nothing in it is trusted to be what was made: every file is compared with a list of hashes before
it is used, once a process.
"""

import functools
import hashlib
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import msgspec
from msgspec import Struct

from mnist_bench.core import limits
from mnist_bench.core.commands import line
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import EnvironmentProblem
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.places import cache_folder
from mnist_bench.core.reading import read_regular
from mnist_bench.core.types import Sha256

DISTRIBUTIONS = ("onnxruntime", "numpy", "onnx", "protobuf", "ml-dtypes", "typing-extensions")
"""What a worker with ONNX Runtime imports: the wheels of the same versions are for every processor."""

LARGEST_BYTES = 2**28
"""Of a file of a root; the largest there is, of ONNX Runtime, is a tenth of that."""

MANIFEST, SITE, PYTHON = "root.json", "site", "usr/bin/python3"
FOLDER = "hosts"


class Root(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a root is made of, and every file and every link in it by its path."""

    packages: tuple[str, ...]
    libraries: dict[str, str]
    python: str
    files: dict[str, Sha256]
    links: dict[str, str]


def versions() -> dict[str, str]:
    """Return the installed versions of what a root holds too; without those that are not installed."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def folder() -> Path:
    """Return the folder of all roots; raises EnvironmentProblem where the user has no home."""
    return cache_folder() / FOLDER


def place() -> Path:
    """Return where the root for the installed versions is, or would be: one for all ARM processors."""
    wanted = versions()
    digest = hashlib.sha256(repr(sorted(wanted.items())).encode()).hexdigest()
    return folder() / f"arm64-onnxruntime-{wanted.get('onnxruntime', 'none')}-{digest[:8]}"


def why_unusable(name: str) -> Skipped | None:
    """Return why the root cannot be used for a processor, or None; every file is looked at, once a process."""
    remedy = line("hosts", "--install", name)
    if missing := [one for one in DISTRIBUTIONS if one not in versions()]:
        return Skipped(name, f"{', '.join(missing)} is not installed", f"pip install {' '.join(missing)}")
    try:
        root = place()
        made = (root / MANIFEST).lstat()
    except FileNotFoundError:
        return Skipped(name, "there are no ARM programs for it", remedy)
    except (EnvironmentProblem, OSError) as error:
        return Skipped(name, str(error), remedy)
    damage = _damage(root, made.st_ino, made.st_mtime_ns)
    return Skipped(name, f"its ARM programs in {root} are damaged: {damage}", remedy) if damage else None


def read(root: Path) -> Root:
    """Return what a root is made of.

    Raises:
        OSError: its list cannot be read.
        msgspec.DecodeError: it is no such list.
    """
    return msgspec.json.decode(read_regular(root / MANIFEST, limits.RECORD_BYTES), type=Root)


@functools.cache
def _damage(root: Path, _inode: int, _changed_ns: int) -> str | None:
    """Say what differs from a root's list; None where nothing does."""
    try:
        made = read(root)
        if damage := difference(root, made.files, made.links, MANIFEST):
            return damage
    except (msgspec.DecodeError, ValueError) as error:  # no UTF-8, or a name that no file can have
        return f"{MANIFEST} is no list: {error}"
    except OSError as error:
        return f"{error.filename if isinstance(error.filename, str) else MANIFEST}: {error.strerror or error}"
    return None if made.libraries == versions() else "it was made for other versions"


def difference(root: Path, files: Mapping[str, Sha256], links: Mapping[str, str], manifest: str) -> str | None:
    """Say what a folder has that is not in a list of its files and links, or the other way round, but for the list.

    Raises:
        OSError: a file is not there, or cannot be read.
    """
    there = {name for name, path in _named(root) if path.is_symlink() or not path.is_dir()} - {manifest}
    if odd := sorted(there - files.keys() - links.keys()):
        return f"{odd[0]} does not belong there"
    for name, target in links.items():
        if str((root / name).readlink()) != target:
            return f"{name} leads elsewhere"
    for name, expected in files.items():
        if digest(root / name) != expected:
            return f"{name} is another file"
    return None


def digest(path: Path) -> str:
    """Return the SHA-256 of a regular file; raises OSError where it is none, or larger than any of a root."""
    return sha256(read_regular(path, LARGEST_BYTES, links=False))


def _named(root: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(root.rglob("*")):
        yield path.relative_to(root).as_posix(), path


def listed(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return every file below a folder with its hash, and every link with its target."""
    files, links = {}, {}
    for name, path in _named(root):
        if path.is_symlink():
            links[name] = str(path.readlink())
        elif path.is_file():
            files[name] = digest(path)
    return files, links
