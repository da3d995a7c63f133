"""Folders that are held by a living process, beside others that sweep what nobody holds."""

import os
import tempfile
from pathlib import Path

import pytest

from mnist_bench.core import locks


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder cannot be held")
@pytest.mark.parametrize("moment", ["chmod", "open", "flock"])
def test_a_folder_that_others_sweep_before_it_is_held_is_made_again(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    made: list[Path] = []
    owner = {"chmod": Path, "open": os, "flock": fcntl}[moment]
    real_make, real_step = tempfile.mkdtemp, getattr(owner, moment)

    def make(**given: str) -> str:
        made.append(Path(real_make(**given)))
        return str(made[-1])

    def step(*given: object, **named: object) -> object:
        if len(made) == 1 and made[0].exists():
            made[0].rmdir()
        return real_step(*given, **named)

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    monkeypatch.setattr(owner, moment, step)
    with locks.held_folder(tmp_path, "held-") as folder:
        assert len(made) == 2
        assert [one.name for one in tmp_path.iterdir()] == [folder.name]
    assert not list(tmp_path.iterdir())
