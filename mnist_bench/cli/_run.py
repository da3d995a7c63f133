"""What `mnist-bench run` does."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

import mnist_bench.report as report
from mnist_bench import data, store, training, workflow
from mnist_bench.cli._audience import audience
from mnist_bench.cli._output import print_tables, show_result
from mnist_bench.cli._progress import configurations_display, processes_display, tell
from mnist_bench.cli._screen import in_colour, say
from mnist_bench.core import text, torchrun
from mnist_bench.core.child import ChildFailed
from mnist_bench.core.errors import SIGNALLED, BadInput, Interrupted, MnistBenchError, ParityBroken, Unanswered
from mnist_bench.core.events import Event, OnEvent, StageBegan, StageEnded, ignore
from mnist_bench.core.types import Record
from mnist_bench.stages.requests import Run
from mnist_bench.stages.training import prepare, train_one

COLOURS = {"passed": "green", "failed": "red", "unknown": "yellow"}
DISPLAYS: dict[str, Callable[[int], contextlib.AbstractContextManager[OnEvent]]] = {
    "export": lambda quiet: configurations_display(quiet, "looking at what is there"),
    "verify": configurations_display,
    "bench": processes_display,
}


class Stages:
    """Tells on stderr which stage is at work, and shows within it what the command of that stage would show."""

    def __init__(self, quiet: int) -> None:
        self._quiet = quiet
        self._displays = contextlib.ExitStack()
        self._shown: OnEvent = ignore

    def on_event(self, event: Event) -> None:
        """Show what has happened."""
        match event:
            case StageBegan(run, stage):
                self._tell(f"{run}: {stage} …")
                if display := DISPLAYS.get(stage):
                    self._shown = self._displays.enter_context(display(self._quiet))
            case StageEnded(run, stage, took_s, remark):
                self._displays.pop_all().close()
                self._shown = ignore
                self._tell(f"{run}: {stage} took {took_s:.0f} s: {remark}")
            case _:
                self._shown(event)

    def _tell(self, line: str) -> None:
        if not self._quiet:
            tell(line)


def carry_out(asked: Run) -> None:
    """Train what was asked for, let the workflow finish it, and say where the page is; then raise what failed."""
    if torchrun.is_distributed():
        raise BadInput("run works in one process: train with torchrun, and then call run without it")
    wanted = asked.training
    there = _imported(asked)
    for activation in () if there else wanted.activations:
        prepare(activation, wanted)
    with _resumable():
        shown = audience(quiet=bool(wanted.quiet))
        records = there or [train_one(activation, wanted, training.ALONE, shown) for activation in wanted.activations]
        errors = [error for record in records for error in _finish(record, asked)]
        folders = [store.run_folder(wanted.out, record.name) for record in records]
        options = report.ViewOptions(wanted.convergence_at, wanted.out)
        material = workflow.gathered(folders, wanted.data_dir)
        page = report.write_page(material, folders[0], options)
    _close(material, options, page, quiet=wanted.quiet)
    judged = list(_judged(material))
    if errors:
        reasons = "; ".join(map(str, errors))
        worst = _worst([*errors, *judged])
        raise ChildFailed(f"{len(errors)} of the stages failed, the page shows the rest: {reasons}", worst)
    if judged:
        raise min(judged, key=lambda error: error.exit_code)


def _judged(material: report.Material) -> Iterator[MnistBenchError]:
    """Yield an error for each run that may not be deployed: the exit code is that of the word on the screen."""
    for record in material.records:
        state, words = report.verdict(material, record)
        if state == "failed":
            yield ParityBroken(words)
        elif state == "unknown":
            yield Unanswered(words)


def _close(material: report.Material, options: report.ViewOptions, page: Path, *, quiet: int) -> None:
    """Say what came out: the verdict first, and where the page is; of a quiet run that alone, in one line."""
    verdicts = [report.verdict(material, record) for record in material.records]
    line = "; ".join(f"{report.WORD_OF[state]} {words}" for state, words in verdicts)
    show_result(quiet, tables=lambda: _show(material, options, page), line=lambda: f"{line}; page: {page}")


def _show(material: report.Material, options: report.ViewOptions, page: Path) -> None:
    """Print the verdicts, then a table for each network, then where the page is."""
    for record in material.records:
        state, words = report.verdict(material, record)
        word = click.style(report.WORD_OF[state], fg=COLOURS[state], bold=True)
        say(f"{word if in_colour() else click.unstyle(word)}  {text.line(words)}\n", rendered=True)
    say("\n")
    print_tables("rich", [report.closing(material, record, options) for record in material.records])
    say(f"Page: {page}\n")


def _imported(asked: Run) -> list[Record]:
    """Return the run that was named, where it was imported: there is nothing to train."""
    wanted = asked.training
    folder = store.run_folder(wanted.out, wanted.name) if wanted.name else None
    if folder is None or wanted.overwrite or not store.exists(folder):
        return []
    record = store.load_record(folder)
    return [record] if record.imported else []


def _worst(errors: Sequence[MnistBenchError]) -> int:
    """Return the exit code to end with: of a failed check before all others."""
    return min(error.exit_code for error in errors)


def _finish(record: Record, asked: Run) -> list[MnistBenchError]:
    wanted = asked.training
    folder = store.run_folder(wanted.out, record.name)
    dataset = data.load(record.config.dataset, wanted.data_dir, download=False)
    settings = workflow.Settings(
        quick=asked.quick, device=record.config.device, data_dir=wanted.data_dir, allow_busy=asked.allow_busy
    )
    return workflow.finish(folder, record, dataset, settings, Stages(wanted.quiet).on_event)


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM, wherever they come, into one error that says how to go on."""
    words = "stopped; finished work is saved: run the same command to resume"
    try:
        yield
    except Interrupted as stopped:
        raise Interrupted(words, stopped.exit_code - SIGNALLED) from stopped
    except KeyboardInterrupt as stopped:
        raise Interrupted(words, 2) from stopped
    except SystemExit as stopped:
        raise Interrupted(words, int(stopped.code or SIGNALLED) - SIGNALLED) from stopped
