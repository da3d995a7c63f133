"""What a CI system is told: test cases as a file, annotations of a pull request, and a job's summary."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import mnist_bench.report as report
from mnist_bench.analysis.cases import Case
from mnist_bench.cli._output import write_text
from mnist_bench.cli._screen import complain
from mnist_bench.core.bench_types import BenchRecord
from mnist_bench.core.errors import MnistBenchError
from mnist_bench.core.kinds import PROGRAM
from mnist_bench.core.text import of_error
from mnist_bench.core.types import ParityRecord
from mnist_bench.stages.requests import Reported

Tables = Callable[[], Iterator[report.Table]]


@dataclass
class Reporter:
    """Tells what a command found, once; `file` is the model that annotations are attached to, if there is one."""

    command: str
    asked: Reported
    file: Path | None = None
    told: bool = False

    def tell(self, cases: Sequence[Case], record: ParityRecord | BenchRecord, tables: Tables) -> None:
        """Write cases where they were asked for, with the tables of the record that they are of."""
        self.told = True
        if self.asked.junit_path:
            document = report.junit(self.command, cases, record.environment.started_at, _facts(record))
            write_text(document, self.asked.junit_path)
        if self.asked.on_github:
            for line in report.annotations(self.command, cases, _in_repository(self.file)):
                complain(line)  # the runner reads both streams, and stdout may be a document
            _summarise(report.job_summary(self.command, cases, tables()))

    def fail(self, reason: str) -> None:
        """Tell that nothing was found out: what an earlier command left in its place would look like success."""
        case = Case(PROGRAM, "error", reason)
        if self.asked.junit_path:
            write_text(report.junit(self.command, [case]), self.asked.junit_path)
        if self.asked.on_github:
            title = f"{PROGRAM} {self.command}"
            complain(report.annotation("error", title, reason, _in_repository(self.file)))
            _summarise(report.job_summary(self.command, [case], iter(())))


@contextlib.contextmanager
def reporting(command: str, asked: Reported, file: Path | None = None) -> Iterator[Reporter]:
    """Let a command tell what it found, and tell of an error that left nothing to tell."""
    reporter = Reporter(command, asked, file)
    try:
        yield reporter
    except MnistBenchError as error:
        if not reporter.told:
            reporter.fail(str(error))
        raise
    except BaseException as error:
        if not reporter.told:
            stopped = isinstance(error, KeyboardInterrupt | SystemExit)
            reporter.fail("it was stopped before it ended" if stopped else of_error(error))
        raise


def _facts(record: ParityRecord | BenchRecord) -> dict[str, str]:
    """Return what a reader of the file needs to know, by name."""
    found = {
        "run": record.name,
        "dataset": record.dataset,
        "weights_sha256": record.weights_sha256,
        "platform": record.environment.platform,
        "cpu_model": record.environment.cpu_model or "",
    }
    if isinstance(record, BenchRecord):
        return found | {"baseline": record.plan.baseline or ""}
    return found | {"certified": f"{record.certificate.certified} of {record.certificate.images}"}


def _in_repository(file: Path | None) -> str:
    """Return the path of a file within the repository that is checked out, as annotations name it; else nothing."""
    root = Path(os.environ.get("GITHUB_WORKSPACE") or ".").resolve()
    inside = file is not None and file.resolve().is_relative_to(root)
    return file.resolve().relative_to(root).as_posix() if file and inside else ""


def _summarise(document: str) -> None:
    """Add to the job's summary, if there is one; that it cannot be written changes no verdict."""
    if not (path := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(document)
    except OSError as error:
        complain(f"the job's summary cannot be written: {error.strerror}")
