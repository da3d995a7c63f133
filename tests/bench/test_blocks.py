"""The order of the blocks, failures, interruption and resumption: targets that measure nothing."""

import itertools
from collections import Counter

import pytest
from msgspec.structs import replace

from mnist_bench.bench.blocks import InvalidResult, Outcome, TargetUnderTest, drawn_order, measure_blocks
from mnist_bench.core.bench_types import BenchPlan, InferenceBenchRecord
from mnist_bench.core.child import ChildFailed
from mnist_bench.core.events import Event, Measuring
from tests.bench import made


class Measured:
    """Takes 1 s in its first block, 2 s in the next, and so on; fails or is interrupted in the block it is told."""

    def __init__(self, name: str, fails_in: int | None = None, stops_in: int | None = None) -> None:
        self.name, self.fails_in, self.stops_in = name, fails_in, stops_in
        self.blocks: list[int] = []

    def __call__(self, block: int, position: int) -> Outcome:
        self.blocks.append(block)
        if block == self.fails_in:
            raise ChildFailed("it took longer than 3 s and was stopped", 3)
        if block == self.stops_in:
            raise KeyboardInterrupt
        found = made.row([], made.configuration(self.name))
        return Outcome([replace(found, samples=(replace(made.sample(block, [block + 1.0]), position=position),))])


def under_test(*measured: Measured) -> list[TargetUnderTest]:
    return [TargetUnderTest("", one.name, one) for one in measured]


def plan(blocks: int = 4, seed: int = 0) -> BenchPlan:
    return BenchPlan(blocks=blocks, seed=seed, batch_sizes=(1,), threads=(1,))


def test_every_block_runs_every_contender_once_and_is_saved() -> None:
    saved: list[InferenceBenchRecord] = []
    events: list[Event] = []
    names = [Measured(name) for name in "abc"]
    found = measure_blocks(made.record(plan=plan()), under_test(*names), events.append, saved.append)
    assert [one.blocks for one in names] == [[0, 1, 2, 3]] * 3
    assert [len(one.blocks) for one in saved] == [1, 2, 3, 4]
    assert saved[-1] == found
    assert found.finished
    assert {row.configuration.runtime: [sample.times_s for sample in row.samples] for row in found.rows} == {
        name: [(1.0,), (2.0,), (3.0,), (4.0,)] for name in "abc"
    }
    assert [(event.done, event.total) for event in events if isinstance(event, Measuring)] == [
        (done, 12) for done in range(12)
    ]


def test_the_recorded_order_is_the_one_that_ran() -> None:
    found = measure_blocks(made.record(plan=plan()), under_test(*map(Measured, "abc")), lambda _: None, lambda _: None)
    for number, block in enumerate(found.blocks):
        places = {row.configuration.runtime: row.samples[number].position for row in found.rows}
        assert [name for name, _ in sorted(places.items(), key=lambda item: item[1])] == list(block.order)


def test_the_order_depends_on_the_seed_and_the_block_alone() -> None:
    found = under_test(*map(Measured, "abcdef"))
    labels = [[one.label for one in drawn_order(found, seed, block)] for seed in (0, 1) for block in (0, 1)]
    assert len({tuple(order) for order in labels}) == 4
    assert labels[0] == [one.label for one in drawn_order(found[::-1], 0, 0)]


def test_every_order_comes_as_often_as_any_other() -> None:
    found = under_test(*map(Measured, "abc"))
    counts = Counter(tuple(one.name for one in drawn_order(found, 0, block)) for block in range(6_000))
    assert set(counts) == set(itertools.permutations("abc"))
    assert all(850 < count < 1_150 for count in counts.values())  # 1,000 each, five sigmas


def test_what_fails_becomes_a_reason_and_is_not_tried_again_while_the_rest_goes_on() -> None:
    good, bad = Measured("good"), Measured("bad", fails_in=1)
    found = measure_blocks(made.record(plan=plan()), under_test(good, bad), lambda _: None, lambda _: None)
    assert (good.blocks, bad.blocks) == ([0, 1, 2, 3], [0, 1])
    (failure,) = found.failures
    assert (failure.target, failure.block, failure.reason) == ("bad", 1, "it took longer than 3 s and was stopped")
    assert {row.configuration.runtime: len(row.samples) for row in found.rows} == {"good": 4, "bad": 1}


def test_a_wrong_configuration_is_left_out_and_the_others_of_its_target_go_on() -> None:
    class HalfInvalid(Measured):
        def __call__(self, block: int, position: int) -> Outcome:
            rows = [
                replace(made.row([], made.configuration(self.name, batch)), samples=(made.sample(block, [1.0]),))
                for batch in (1, 128)
            ]
            return Outcome(rows[:1], [InvalidResult(1, 128, "wrong answers: 3 flips")]) if block == 0 else Outcome(rows)

    found = measure_blocks(made.record(plan=plan()), under_test(HalfInvalid("a")), lambda _: None, lambda _: None)
    assert [(row.configuration.batch_size, len(row.samples)) for row in found.rows] == [(1, 4)]
    assert [(one.threads, one.batch_size, one.reason) for one in found.failures] == [(1, 128, "wrong answers: 3 flips")]


def test_a_stopped_benchmark_keeps_its_whole_blocks_and_goes_on_with_the_next() -> None:
    saved: list[InferenceBenchRecord] = []
    begun = made.record(plan=plan())
    stopping = under_test(Measured("a"), Measured("b", stops_in=2))
    with pytest.raises(KeyboardInterrupt):
        measure_blocks(begun, stopping, lambda _: None, saved.append)
    assert len(saved[-1].blocks) == 2
    assert {len(row.samples) for row in saved[-1].rows} == {2}
    names = [Measured("a"), Measured("b")]
    resumed = measure_blocks(saved[-1], under_test(*names), lambda _: None, saved.append)
    assert [one.blocks for one in names] == [[2, 3]] * 2
    whole = measure_blocks(begun, under_test(*map(Measured, "ab")), lambda _: None, lambda _: None)
    assert [block.order for block in resumed.blocks] == [block.order for block in whole.blocks]
    assert {row.configuration: row for row in resumed.rows} == {row.configuration: row for row in whole.rows}


def test_sides_are_kept_apart() -> None:
    both = [TargetUnderTest(side, "a", Measured("a")) for side in ("candidate", "baseline")]
    found = measure_blocks(made.record(plan=plan(2)), both, lambda _: None, lambda _: None)
    assert sorted(row.side for row in found.rows) == ["baseline", "candidate"]
    assert set(found.blocks[0].order) == {"candidate: a", "baseline: a"}
