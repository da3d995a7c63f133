"""What is shown while work goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from mnist_bench.cli import _progress, _run, _screen, _signals
from mnist_bench.core.events import (
    EpochDone,
    Exporting,
    ImagesTrained,
    Measuring,
    StageBegan,
    StageEnded,
    TrainingStarted,
    Verifying,
)
from mnist_bench.core.types import Record
from tests.bench import made

FOREIGN = "[/x] [link=https://example.org]\x1b[2J"


def test_foreign_words_are_no_markup(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(_progress, "_on_a_terminal", lambda: True)
    with _progress.configurations_display(quiet=False) as on_event:
        on_event(Verifying(made.configuration(FOREIGN, provider=FOREIGN)))
    with _progress.processes_display(quiet=False) as on_event:
        on_event(Measuring(0, 1, 0, 1, FOREIGN))
    assert "\x1b[2J" not in capsys.readouterr().err


class StoppedWhenItGoes:
    """Ctrl-C comes while this is removed: what is raised there, nobody can catch."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


def test_a_ctrl_c_within_a_callback_is_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", _signals.without_words)
    before = signal.signal(signal.SIGINT, _signals.Raising(lambda _: KeyboardInterrupt()))
    try:
        StoppedWhenItGoes()
        assert _signals.came() == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            _signals.heed()
    finally:
        signal.signal(signal.SIGINT, before)
    assert not capsys.readouterr().err


def test_a_ctrl_c_while_a_module_is_imported_ends_at_once(tmp_path: Path) -> None:
    """Although the library swallows whatever is raised."""
    library = "import signal\ntry: signal.raise_signal(signal.SIGINT)\nexcept BaseException: pass\n"
    (tmp_path / "library.py").write_text(library)
    code = "import signal; from mnist_bench.cli import _signals; "
    code += "signal.signal(signal.SIGINT, _signals.Raising(SystemExit)); import library; print('went on')"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "mnist-bench: stopped\n")


@pytest.mark.parametrize("quiet", [True, False])
def test_a_ctrl_c_that_was_swallowed_is_heeded(quiet: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    handler = _signals.Raising(lambda _: KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        handler(2, None)
    monkeypatch.setattr(signal, "getsignal", lambda _: handler)
    assert _signals.came() == 2
    for display in (_progress.configurations_display, _progress.processes_display):
        with display(quiet) as on_event, pytest.raises(KeyboardInterrupt):
            on_event(Measuring(0, 1, 0, 1, "onnxruntime"))


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_training_s_bar_fits_the_screen(
    columns: int, trained: tuple[Path, Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = trained[1]
    begun = msgspec.structs.replace(record, epochs=(), final=None, checkpoint=None)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    with _progress.Live() as live:
        live.on_event(TrainingStarted(begun))
        for epoch in range(1, len(record.epochs) + 1):
            live.on_event(ImagesTrained(epoch, record.dataset.train_images))
            live.on_event(EpochDone(msgspec.structs.replace(begun, epochs=record.epochs[:epoch])))
    last = next(line for line in reversed(capsys.readouterr().err.splitlines()) if line.startswith("epoch "))
    assert last.startswith("epoch 15/15 ━━━━━━━━━━━━")
    assert f"validation {record.epochs[-1].validation.accuracy:.2%}" in last
    assert ("loss" in last) == (columns >= 112)
    assert len(last) <= columns


def test_what_is_exported_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    stages = _run.Stages(quiet=0)
    stages.on_event(StageBegan("mine", "export"))
    stages.on_event(Exporting("onnx", "int8"))
    stages.on_event(StageEnded("mine", "export", 1.0, "1 files"))
    said = ["mine: export …", "exporting onnx int8 …", "mine: export took 1 s: 1 files"]
    assert capsys.readouterr().err.splitlines() == said
    quiet = _run.Stages(quiet=1)
    quiet.on_event(StageBegan("mine", "export"))
    quiet.on_event(Exporting("onnx", "int8"))
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("terminal", "no_color", "colours"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_colours_are_for_terminals_whose_users_want_them(
    terminal: bool, no_color: str, colours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert _screen.in_colour() is colours
