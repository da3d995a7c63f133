"""The A/A run: the same target several times in each block, to see what this machine can tell apart."""

from dataclasses import replace

from mnist_bench.analysis.self_test import COPIES
from mnist_bench.bench import inference
from mnist_bench.bench.session import Subject, begin, finish, new_record
from mnist_bench.core.bench_types import BenchPlan, SelfTestRecord
from mnist_bench.core.errors import BadInput, MeasurementFailed
from mnist_bench.core.events import OnEvent


def self_test(
    subject: Subject, plan: BenchPlan, on_event: OnEvent, *, resume: bool = False, allow_busy: bool = False
) -> SelfTestRecord:
    """Measure float32 targets several times in each block, and save the record after every block.

    Raises:
        BadInput: there is no float32 target.
        MeasurementFailed: a copy could not be measured.
    """
    begun, plan, conditions = begin(SelfTestRecord, subject, plan, resume=resume, allow_busy=allow_busy)
    inputs = inference.evaluation_inputs(subject.folder, subject.record, subject.dataset)
    found, skipped = inference.targets_under_test(subject.folder, subject.record, plan, plan.targets, inputs)
    copies = [
        replace(target, side=f"copy {number + 1}")
        for target in found
        if target.precision == "fp32"
        for number in range(COPIES)
    ]
    if not copies:
        raise BadInput(f"{subject.folder} holds no float32 file to test: export one, or name a runtime")
    record = begun or new_record(SelfTestRecord, subject, plan, conditions, skipped)
    record = finish(record, copies, on_event, subject.folder)
    if record.failures:
        first = record.failures[0]
        raise MeasurementFailed(f"the self-test could not measure {first.target}: {first.reason}")
    return record
