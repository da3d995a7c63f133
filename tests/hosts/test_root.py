"""The ARM programs in the cache: made as a whole or not at all, and noticed where they are damaged."""

import json
import os
import sys
from pathlib import Path

import pytest

from mnist_bench import hosts
from mnist_bench.core.errors import BadInput, EnvironmentProblem, TargetUnavailable
from mnist_bench.hosts import _install, _root
from tests.conftest import Run
from tests.hosts.emulators import emulator

A53 = "cortex-a53"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small root that is sound, and an emulator for it."""
    emulator(tmp_path, monkeypatch, "exit 0", "qemu-aarch64")
    made = _root.place()
    (made / "usr" / "bin").mkdir(parents=True)
    (made / "usr" / "bin" / "python3.11").write_bytes(b"a program")
    (made / "usr" / "bin" / "python3").symlink_to("python3.11")
    files, links = _root.listed(made)
    contents = {"packages": [], "libraries": _root.versions(), "python": "3.11", "files": files, "links": links}
    (made / _root.MANIFEST).write_text(json.dumps(contents), encoding="utf-8")
    return made


def why(root: Path) -> str:
    os.utime(root / _root.MANIFEST, ns=(0, (root / _root.MANIFEST).stat().st_mtime_ns + 1))  # looked at once a process
    missing = hosts.load(A53).why_unavailable()
    assert missing is None or missing.remedy == "mnist-bench hosts --install cortex-a53"
    return missing.reason if missing else ""


def test_a_sound_root_is_used_and_each_damage_is_noticed(root: Path) -> None:
    assert why(root) == ""
    program, link = root / "usr" / "bin" / "python3.11", root / "usr" / "bin" / "python3"
    program.write_bytes(b"a Program")
    assert "usr/bin/python3.11 is another file" in why(root)
    program.unlink()
    assert "No such file" in why(root)
    program.write_bytes(b"a program")
    assert why(root) == ""
    (root / "usr" / "sitecustomize.py").write_bytes(b"")
    assert "usr/sitecustomize.py does not belong there" in why(root)
    (root / "usr" / "sitecustomize.py").unlink()
    program.unlink()
    os.mkfifo(program)
    assert "python3.11: it is no regular file" in why(root)
    program.unlink()
    program.write_bytes(b"a program")
    link.unlink()
    link.symlink_to("/bin/sh")
    assert "usr/bin/python3 leads elsewhere" in why(root)
    link.unlink()
    link.symlink_to("python3.11")
    manifest = root / _root.MANIFEST
    whole = json.loads(manifest.read_text(encoding="utf-8"))
    for content in ('{"files": 3}', json.dumps(whole | {"links": whole["links"] | {"a\0b": "c"}}), ""):
        manifest.write_text(content, encoding="utf-8")
        assert "root.json is no list" in why(root)
    manifest.unlink()
    manifest.mkdir()
    assert "root.json: " in why(root)


def test_a_root_of_other_versions_is_another_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_root, "versions", lambda: dict.fromkeys(_root.DISTRIBUTIONS, "9.9"))
    assert _root.place() != root
    missing = hosts.load(A53).why_unavailable()
    assert missing
    assert missing.reason == "there are no ARM programs for it"


def test_a_damaged_root_is_one_line_and_exit_code_3(
    root: Path, run: Run, light: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "usr" / "bin" / "python3.11").write_bytes(b"")
    assert run("verify", "--out", light.parent, "--run", light.name, "--cpu", A53) == 3
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "damaged" in line
    assert line.endswith("mnist-bench hosts --install cortex-a53")


APT = """
case "$*" in
*update*) [ -n "$FAIL_UPDATE" ] && { echo "E: no network" >&2; exit 100; }; exit 0 ;;
*) place=$(sed -n 's/^Dir::Cache "\\(.*\\)";$/\\1/p' "$2"); touch "$place/archives/python3_1_arm64.deb" ;;
esac
"""
DPKG = 'mkdir -p "$3/usr/bin"; echo program > "$3/usr/bin/python3.11"; ln -s python3.11 "$3/usr/bin/python3"'
PIP = """
import sys, zipfile, os
if os.environ.get("FAIL_PIP"):
    sys.exit("ERROR: No matching distribution")
dest = sys.argv[sys.argv.index("--dest") + 1]
os.makedirs(dest)
assert "manylinux_2_28_aarch64" in sys.argv and "3.11" in sys.argv and "--only-binary=:all:" in sys.argv
with zipfile.ZipFile(dest + "/numpy-1-cp311.whl", "w") as wheel:
    wheel.writestr("numpy/__init__.py", "")
"""


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What fetches and unpacks, without a network: each does as little as it can. Returns where roots are made."""
    emulator(tmp_path, monkeypatch, "exit $FAIL_START", "qemu-aarch64")
    emulator(tmp_path, monkeypatch, APT, "apt-get")
    emulator(tmp_path, monkeypatch, DPKG, "dpkg-deb")
    (tmp_path / "pip.py").write_text(PIP, encoding="utf-8")
    monkeypatch.setattr(_install, "_pip", lambda: [sys.executable, str(tmp_path / "pip.py")])
    monkeypatch.setenv("FAIL_START", "0")
    return _root.folder()


def test_a_root_is_made_once_and_is_sound(tools: Path) -> None:
    told: list[str] = []
    made = hosts.install(A53, told.append)
    assert made == _root.place()
    assert hosts.load(A53).why_unavailable() is None
    assert hosts.load("neoverse-n1").why_unavailable() is None  # one for all
    assert (made / "site" / "numpy" / "__init__.py").is_file()
    assert len(told) == 3
    hosts.install(A53, told.append)
    assert len(told) == 3
    (made / "usr" / "bin" / "python3.11").unlink()
    _root._damage.cache_clear()
    hosts.install(A53, told.append)
    _root._damage.cache_clear()
    assert hosts.load(A53).why_unavailable() is None
    assert {path.name for path in tools.iterdir()} == {made.name, ".lock"}


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [("FAIL_UPDATE", "1", "no network"), ("FAIL_PIP", "1", "No matching distribution"), ("FAIL_START", "11", "11")],
)
def test_what_fails_is_said_and_leaves_nothing(
    tools: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(EnvironmentProblem, match=said):
        hosts.install(A53, lambda _: None)
    assert [path.name for path in tools.iterdir()] == [".lock"]
    missing = hosts.load(A53).why_unavailable()
    assert missing
    assert "no ARM programs" in missing.reason


def test_what_an_installation_lacks_is_said(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_install, "_pip", lambda: None)
    with pytest.raises(TargetUnavailable, match="no pip"):
        hosts.install(A53, lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(TargetUnavailable, match="no apt-get"):
        hosts.install(A53, lambda _: None)


def test_x86_processors_need_no_root() -> None:
    with pytest.raises(BadInput, match="nothing but QEMU"):
        hosts.install("haswell", lambda _: None)


def test_nothing_of_the_system_is_in_apt_s_configuration() -> None:
    text = _install.CONFIGURATION.format(folder="/somewhere")
    for name in ("Dir::State", "Dir::State::status", "Dir::Cache", "Dir::Log"):
        assert f'{name} "/somewhere' in text
    assert 'AllowInsecureRepositories "false"' in text
