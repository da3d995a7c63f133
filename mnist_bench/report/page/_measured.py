"""Finding what was measured of a run."""

from mnist_bench.core.bench_types import BenchRecord
from mnist_bench.core.types import Record
from mnist_bench.report._material import Material


def inference_of(material: Material, record: Record) -> BenchRecord | None:
    """Return the benchmark of a run's inference, if there is one."""
    return next((one for one in material.benchmarks if type(one) is BenchRecord and one.name == record.name), None)
