"""What is shipped: the source distribution, the wheel that is built from it, and the hooks for a clone."""

import configparser
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import mnist_bench
from tests.conftest import made_once

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mnist_bench"
KINDS = {
    "py.typed",
    "core/_cpp_project/CMakeLists.txt",
    "core/_cpp_project/main.cpp",
    "formats/_network_int8.c",
    "formats/_web/index.html",
    "hosts/_node_worker/worker.mjs",
    "report/page/templates/page.html",
    "training/engines/_sparse.c",
    "worker/_javascript/browser.mjs",
}
"""One file of each kind that is no module: where all of a kind are left out, this says so."""


def build(kind: str, source: Path, into: Path) -> Path:
    """Build a distribution of a source folder, in a process of its own, without the network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (made,) = into.glob("*.tar.gz" if kind == "sdist" else "*.whl")
    return made


@pytest.fixture(scope="module")
def unpacked(shared: Path) -> Path:
    """The source distribution, unpacked."""
    pytest.importorskip("hatchling")

    def make(folder: Path) -> None:
        with tarfile.open(build("sdist", ROOT, folder / "dist")) as archive:
            archive.extractall(folder, filter="data")

    return made_once(shared / "unpacked", make) / f"mnist_bench-{mnist_bench.__version__}"


@pytest.fixture(scope="module")
def wheel(unpacked: Path) -> Path:
    """The wheel that is built from the source distribution."""
    return (
        made_once(unpacked.parent / "wheel", lambda folder: build("wheel", unpacked, folder)).glob("*.whl").__next__()
    )


def files_of(package: Path) -> set[str]:
    """Return what a package's folder holds, but for what Python writes there."""
    found = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_file()}
    return {name for name in found if "__pycache__" not in name}


def test_the_source_distribution_has_the_package_and_what_tests_it(unpacked: Path) -> None:
    assert files_of(unpacked / "mnist_bench") == files_of(PACKAGE)
    for name in ("tests/conftest.py", "pyproject.toml", "tox.ini", "LICENSE", "README.md", "docs/certificate.md"):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    inside = {name.removeprefix("mnist_bench/") for name in names if name.startswith("mnist_bench/")}
    assert inside == files_of(PACKAGE)
    assert inside >= KINDS
    assert {name.partition("/")[0] for name in names} == {
        "mnist_bench",
        f"mnist_bench-{mnist_bench.__version__}.dist-info",
    }


def test_the_wheel_starts_without_the_source(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        entries = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        found = configparser.ConfigParser()
        found.read_string(archive.read(entries).decode())
    assert dict(found["console_scripts"]) == {"mnist-bench": "mnist_bench.__main__:main"}
    assert dict(found["pytest11"]) == {"mnist_bench": "mnist_bench.pytest_plugin"}
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); import mnist_bench.__main__ as started; "
        "print(started.__file__); sys.argv = ['mnist-bench', '--version']; started.main()"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith(str(tmp_path / "site"))
    assert f"mnist-bench {mnist_bench.__version__}" in done.stdout


def test_a_file_that_is_left_out_is_missed(unpacked: Path, tmp_path: Path) -> None:
    """The same build with a rule that leaves a kind of files out: the comparison above sees it."""
    settings = (unpacked / "pyproject.toml").read_text(encoding="utf-8")
    changed = settings.replace('packages = ["mnist_bench"]', 'packages = ["mnist_bench"]\nexclude = ["*.mjs"]', 1)
    assert changed != settings
    copy = Path(shutil.copytree(unpacked, tmp_path / "copy"))
    (copy / "pyproject.toml").write_text(changed, encoding="utf-8")
    with zipfile.ZipFile(build("wheel", copy, tmp_path / "dist")) as archive:
        inside = {name.removeprefix("mnist_bench/") for name in archive.namelist()}
    missed = files_of(PACKAGE) - inside
    assert missed
    assert {Path(name).suffix for name in missed} == {".mjs"}


# --- hooks ------------------------------------------------------------------------------------------------------------


def hooks() -> dict[str, dict[str, object]]:
    yaml = pytest.importorskip("yaml")
    document = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (repository,) = document["repos"]
    assert repository["repo"] == "local"
    return {hook["id"]: hook for hook in repository["hooks"]}


def test_the_hooks_are_valid_and_fetch_nothing() -> None:
    pytest.importorskip("pre_commit")
    command = [sys.executable, "-m", "pre_commit", "validate-config", ".pre-commit-config.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert {hook["language"] for hook in hooks().values()} == {"system"}


def test_the_hooks_do_what_tox_does() -> None:
    of_tox = configparser.ConfigParser(interpolation=None)
    of_tox.read(ROOT / "tox.ini")
    commands = " ".join(of_tox[f"testenv:{name}"]["commands"] for name in ("lint", "type", "layers"))
    for hook in hooks().values():
        words = str(hook["entry"]).removesuffix(" --force-exclude").split()
        assert " ".join(words) in commands, hook["id"]
    formatted = set(re.findall(r"\S+\.(?:c|cpp|h)\b", commands))
    pattern = re.compile(str(hooks()["clang-format"]["files"]))
    sources = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("*/**/*") if path.suffix in (".c", ".cpp", ".h")]
    assert {name for name in sources if pattern.search(name)} == formatted


def test_the_tools_of_the_hooks_are_those_of_the_groups() -> None:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    given = {re.split(r"[>=<;\[ ]", line)[0] for name in ("lint", "type", "layers") for line in groups[name]}
    tools = {"lint-imports": "import-linter"}
    wanted = {str(hook["entry"]).split()[0] for hook in hooks().values()}
    assert {tools.get(name, name) for name in wanted} <= given
