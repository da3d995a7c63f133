"""What npm fetches: one package of a fixed version, in a folder of its own in the user's cache."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mnist_bench.core import digest, locks, places, process
from mnist_bench.core.errors import EnvironmentProblem, TargetUnavailable
from mnist_bench.core.kinds import Skipped

INSTALL_S, LOCK_S = 900.0, 1_200.0
UNFINISHED = ".making-"
LISTED = "files.json"
"""Every file with its size: what was cut short, or taken away, is not used."""

# No package's own scripts run: they would fetch further programs, for GPUs, from wherever they like.
INSTALL = ("install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")


@dataclass(frozen=True)
class Package:
    """A package that `mnist-bench hosts --install` fetches for a host.

    `beside` are files of ours that lie in the same folder. `kept` are those of the package, relative to it, that are
    moved there; the rest is removed. Nothing named, the package stays as npm installs it.
    """

    host: str
    name: str
    version: str
    beside: tuple[Path, ...] = ()
    kept: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[str, ...]:
        """What is there of the package, relative to its place."""
        return tuple(Path(name).name for name in self.kept) or (f"node_modules/{self.name}",)

    def place(self) -> Path:
        """Return where it is installed: for this version and these files, so that others have another place.

        Raises:
            EnvironmentProblem: the user has no home.
        """
        parts = [self.name.encode(), self.version.encode(), *map(str.encode, self.kept)]
        key = digest.sha256(b"\0".join([*parts, *(path.read_bytes() for path in self.beside)]))[:16]
        return places.cache_folder() / self.host / key

    def installed_bytes(self) -> int:
        """Return how large its place is."""
        return sum(path.stat().st_size for path in self.place().rglob("*") if path.is_file())

    def why_missing(self) -> Skipped | None:
        """Return why what it holds is not there, or None."""
        try:
            place = self.place()
        except EnvironmentProblem as error:
            return Skipped(self.host, str(error), "set HOME")
        remedy = f"mnist-bench hosts --install {self.host}"
        try:
            sizes = json.loads((place / LISTED).read_bytes())
            damaged = [name for name, size in sizes.items() if (place / name).stat().st_size != size]
        except FileNotFoundError as error:
            damaged = [Path(error.filename).name] if (place / LISTED).exists() else []
            if not damaged:
                return Skipped(self.host, f"{self.name} is not installed", remedy)
        except (OSError, ValueError, AttributeError) as error:
            damaged = [f"{LISTED}, {error}"]
        why = f"{self.name} in {place} is damaged ({', '.join(damaged[:1])})"
        return Skipped(self.host, why, remedy) if damaged else None

    def install(self, tell: Callable[[str], object]) -> Path:
        """Let npm fetch it, unless it is there; return where that is.

        Raises:
            TargetUnavailable: there is no Node, or no npm.
            EnvironmentProblem: npm failed, or its package does not hold what is wanted.
        """
        npm = shutil.which("npm")
        if not (npm and shutil.which("node")):
            why = "there is no npm; install it (apt-get install nodejs npm)"
            raise TargetUnavailable(f"{self.host} cannot be installed: {why}")
        place = self.place()
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with locks.exclusive(place.parent / ".lock", LOCK_S):
                if self.why_missing():
                    tell(f"fetching {self.name} by npm")
                    locks.remove_abandoned_folders(place.parent, UNFINISHED)
                    with locks.held_folder(place.parent, UNFINISHED) as held:
                        made = held / "made"
                        self._make(made, npm)
                        shutil.rmtree(place, ignore_errors=True)
                        made.rename(place)
        except OSError as error:
            why = f"{error.filename or place}: {error.strerror or error}"
            raise EnvironmentProblem(f"{why}: set XDG_CACHE_HOME to another folder") from error
        return place

    def _make(self, made: Path, npm: str) -> None:
        made.mkdir()
        wanted = {"name": f"mnist-bench-{self.host}", "private": True, "dependencies": {self.name: self.version}}
        (made / "package.json").write_text(json.dumps(wanted), encoding="utf-8")
        for path in self.beside:
            shutil.copyfile(path, made / path.name)
        process.run((npm, *INSTALL), folder=made, environment=process.inherited(), time_limit_s=INSTALL_S)
        for name in self.kept:
            source = made / "node_modules" / self.name / name
            if not source.is_file():
                raise EnvironmentProblem(f"{self.name} {self.version} came without {name}: try again")
            source.rename(made / source.name)
        if self.kept:
            shutil.rmtree(made / "node_modules")
        sizes = {path.relative_to(made).as_posix(): path.stat().st_size for path in made.rglob("*") if path.is_file()}
        (made / LISTED).write_text(json.dumps(sizes), encoding="utf-8")


ONNXRUNTIME_WEB = Package(
    "browser",
    "onnxruntime-web",
    "1.30.0",
    kept=(
        # The fast build. `ort.min.mjs` loads another one, several times as slow, so that it can use a GPU too.
        "dist/ort.wasm.min.mjs",
        "dist/ort-wasm-simd-threaded.mjs",
        "dist/ort-wasm-simd-threaded.wasm",
        # For GPUs, where a browser has WebGPU.
        "dist/ort.webgpu.min.mjs",
        "dist/ort-wasm-simd-threaded.asyncify.mjs",
        "dist/ort-wasm-simd-threaded.asyncify.wasm",
    ),
)
"""What browsers compute with: the host `browser`, and the format `web`."""
