"""From raw samples to the numbers of a row; the floors; what is unsteady."""

import pytest
from msgspec.structs import replace

from mnist_bench.analysis.timing import alarms, floor_s, summarise, unsteady
from mnist_bench.core.architecture import (
    LAYERS,
    PARAMETERS,
    inference_products,
    operations,
    training_products,
)
from mnist_bench.core.bench_types import Bandwidth, Block
from mnist_bench.model import Network, count_parameters
from tests.bench import made

MEDIANS = [1.0e-5, 1.3e-5, 1.1e-5, 1.2e-5, 1.5e-5, 1.4e-5]


def test_a_row_in_a_few_numbers() -> None:
    row = made.row(MEDIANS, made.configuration(batch=4), calls=150)
    found = summarise(made.record([row]), row)
    assert found.p50 == pytest.approx(1.25e-5)
    assert found.interval == (1.0e-5, 1.5e-5)
    assert (found.minimum, found.p90, found.p99) == (1.0e-5, 1.5e-5, 1.5e-5)
    assert found.p99_bound == (1.5e-5, 662)
    assert found.images_per_s == pytest.approx(4 / 1.25e-5)
    assert (found.calls, found.processes, found.outliers) == (900, 6, 0)
    assert not found.unresolved


def test_too_few_calls_have_no_bound_and_too_few_processes_no_interval() -> None:
    row = made.row(MEDIANS[:5])
    found = summarise(made.record([row]), row)
    assert found.p99_bound == (None, 662)
    assert found.interval is None


def test_what_the_clock_cannot_resolve_is_called_so() -> None:
    row = made.row([4.9e-6] * 6)
    assert summarise(made.record([row]), row).unresolved
    assert summarise(made.record([row]), row).peak_share is None
    row = made.row([5.1e-6] * 6)
    assert not summarise(made.record([row]), row).unresolved


def test_the_products_are_the_network_s() -> None:
    assert count_parameters(Network()) == PARAMETERS
    assert operations(inference_products(1)) == 2 * 535_040
    assert operations(training_products(128)) == pytest.approx(308e6, rel=1e-3)
    assert len(training_products(128)) == 8
    assert LAYERS[0] == (784, 512)


def test_the_floor_of_inference_is_the_larger_of_arithmetic_and_memory() -> None:
    limits = (made.limits(flop_per_s=1e11, bytes_per_s=1e10),)
    small, large = made.row([1.0]), made.row([1.0], made.configuration(batch=1_000))
    assert floor_s(small, limits) == pytest.approx((PARAMETERS * 4 + 794 * 4) / 1e10)
    assert floor_s(large, limits) == pytest.approx(1_000 * 1_070_080 / 1e11)


def test_half_precision_moves_half_the_weights() -> None:
    limits = (made.limits(bytes_per_s=1e9),)
    half = made.row([1.0], made.configuration(precision="fp16"))
    assert floor_s(half, limits) == pytest.approx((PARAMETERS * 2 + 794 * 4) / 1e9)


def test_more_than_the_machine_can_do_is_an_alarm_and_no_share() -> None:
    row = made.row([1e-4] * 6, made.configuration(batch=1_000))
    limits = (made.limits(flop_per_s=1e9),)
    record = made.record([row], limits=limits)
    found = summarise(record, row)
    assert found.peak_share is None
    assert found.beyond_peak == pytest.approx(1_070_080_000 / 1e9 / 1e-4)
    (told,) = alarms(record)
    assert told.startswith("ALARM: ")
    assert alarms(made.record([made.row([2.0] * 6, made.configuration(batch=1_000))], limits=limits)) == []


def test_who_skips_products_may_be_faster_than_all_of_them() -> None:
    row = replace(made.row([1e-4] * 6, made.configuration(batch=1_000)), skips_zeros=True)
    record = made.record([row], limits=(made.limits(flop_per_s=1e9),))
    assert summarise(record, row).peak_share == pytest.approx(1_070_080_000 / 1e9 / 1e-4)
    assert alarms(record) == []


def test_no_floor_is_claimed_where_no_limit_was_measured() -> None:
    limits = (made.limits(),)
    assert floor_s(made.row([1.0], made.configuration(precision="int8")), limits) is None
    assert floor_s(made.row([1.0], made.configuration(threads=2)), limits) is None
    assert floor_s(made.row([1.0], made.configuration("null", format=""), kind="null"), limits) is None


def test_the_floor_of_training_is_products_plus_adam() -> None:
    limits = (made.limits(flop_per_s=1e11, bytes_per_s=1e10),)
    row = made.row([1.0], made.configuration("eager", batch=128, format=""), kind="training")
    row = replace(row, samples=(replace(row.samples[0], images=60_000),))
    expected = 468.75 * operations(training_products(128)) / 1e11 + 469 * 7 * PARAMETERS * 4 / 1e10
    assert floor_s(row, limits) == pytest.approx(expected)


def test_training_at_another_batch_size_is_held_against_the_best_rate() -> None:
    slow = made.limits(flop_per_s=1e10)
    large = replace(slow.matrix_rates[0], purpose="large", flop_per_s=4e10)
    limits = (replace(slow, matrix_rates=(*slow.matrix_rates, large)),)
    rows = [
        made.row([1.0], made.configuration("eager", batch=batch, format=""), kind="training") for batch in (128, 256)
    ]
    rows = [replace(row, samples=(replace(row.samples[0], images=256),)) for row in rows]
    at_128, at_256 = (floor_s(row, limits) or 0.0 for row in rows)
    assert 2 * operations(training_products(128)) / 1e10 < at_128
    assert at_256 < operations(training_products(256)) / 3e10


def test_half_precision_is_held_against_the_best_rate_of_any() -> None:
    one = made.limits(flop_per_s=1e9)
    half = replace(one.matrix_rates[0], precision="bf16", flop_per_s=3e9)
    row = made.row([1.0], made.configuration(batch=1_000, precision="fp16"))
    both = (replace(one, matrix_rates=(*one.matrix_rates, half)),)
    assert floor_s(row, both) == pytest.approx(operations(inference_products(1_000)) / 3e9)


def test_the_best_of_all_probes_counts_at_the_nearest_size() -> None:
    limits = made.limits(bytes_per_s=1e10)
    other = replace(
        limits,
        bandwidths=(
            Bandwidth(access="copy", size_bytes=2 * 1024**2, bytes_per_s=2e10),
            Bandwidth(access="read", size_bytes=256 * 1024**2, bytes_per_s=9e10),
        ),
    )
    assert floor_s(made.row([1.0]), (limits, other)) == pytest.approx((PARAMETERS * 4 + 794 * 4) / 2e10)


def test_a_machine_that_changes_speed_by_blocks_is_unsteady() -> None:
    steady = made.record([made.row([1.0, 1.01, 1.0, 0.99, 1.0, 1.02])])
    assert unsteady(steady) is None
    phases = [1.0, 1.0, 1.3, 1.3, 1.0, 1.0]
    shifted = made.record([made.row(phases), made.row([2 * phase for phase in phases], made.configuration(batch=8))])
    assert unsteady(shifted) == "with 1 thread(s) its slowest block was 30% slower than its fastest"


def test_one_row_s_spread_does_not_make_a_machine_unsteady() -> None:
    rows = [made.row([1.0] * 6, made.configuration(batch=batch)) for batch in (1, 2, 3)]
    rows.append(made.row([1.0, 2.0, 1.0, 2.0, 1.0, 2.0], made.configuration(batch=4)))
    assert unsteady(made.record(rows)) is None


def test_a_machine_that_others_use_is_unsteady() -> None:
    record = made.record([made.row([1.0] * 6)])
    busy = Block(started_at="now", order=("a",), busy_share=0.1, steal_share=0.15)
    assert unsteady(replace(record, blocks=(*record.blocks[1:], busy))) == "others took up to 25% of its cores"
