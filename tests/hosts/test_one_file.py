"""A host is one file."""

from pathlib import Path

import pytest

from mnist_bench import hosts
from tests.conftest import Plugins, Run

ELSEWHERE = '''
    """This Python in a folder of its own, with an environment variable that says so."""

    from mnist_bench.hosts import here
    from mnist_bench.hosts._contract import Launch

    ARGUMENT, RUNTIMES, TIMED = False, ("onnxruntime",), False
    PROCESSOR = None

    def why_unavailable():
        return None

    def launch(argument):
        usual = here.launch(argument)
        return Launch("elsewhere", usual.command, {**usual.environment, "ELSEWHERE": "1"})
'''


def test_a_host_is_one_file(own_copy: Path, plugins: Plugins, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    plugins.add("hosts", "elsewhere", ELSEWHERE)
    assert "elsewhere" in hosts.names()
    assert run("verify", "--host", "elsewhere", "--host", "here", "--runtime", "onnxruntime", "--threads", "1") == 0
    out = capsys.readouterr().out
    assert "onnxruntime int8 on elsewhere" in out
    assert "onnxruntime int8  " in out
    assert run("bench", "--host", "elsewhere", "--allow-busy") == 2
    assert "its times mean nothing" in capsys.readouterr().err
