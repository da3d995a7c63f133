"""What npm fetches for a test: once a session."""

import shutil
from pathlib import Path

import pytest

from mnist_bench.core.errors import EnvironmentProblem
from mnist_bench.core.npm import Package

needs_npm = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")), reason="there is no Node with npm to fetch a package with"
)


def put_into_cache(package: Package, shared: Path) -> Path:
    """Put a package into the cache of this test; skipped where npm fetches nothing."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(shared / "npm"))
            made = package.install(lambda _: None)
    except EnvironmentProblem as error:
        pytest.skip(f"npm fetches nothing here: {error}")
    own = package.place()
    if not own.exists():
        own.parent.mkdir(parents=True, exist_ok=True)
        own.symlink_to(made)
    return own
