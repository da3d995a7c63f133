"""The timing loop on a fake clock, and on spins of known length."""

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mnist_bench.bench.inference import calls_for
from mnist_bench.core.errors import BadInput
from mnist_bench.worker import clock as worker

Images = NDArray[np.float32]


class FakeClock:
    """A clock that only moves when it is told to, and by 5 ns whenever it is read."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        self.now += 5
        return self.now


def images(count: int) -> Images:
    return np.arange(count, dtype=np.float32)[:, None, None, None] * np.ones((1, 1, 28, 28), np.float32)


def first_pixels(batch: Images) -> Images:
    return np.repeat(batch[:, 0, 0, :1], 10, axis=1)


def spinning(clock: FakeClock, lengths_ns: list[int]) -> Callable[[Images], Images]:
    """Return a session whose calls take these times in turn."""
    left = list(lengths_ns)

    def run(batch: Images) -> Images:
        clock.now += left.pop(0)
        return first_pixels(batch)

    return run


def test_every_raw_call_is_kept_in_order() -> None:
    clock = FakeClock()
    lengths = [1_000, 250, 3_000_000, 40]
    found = worker.timed(spinning(clock, lengths), [images(1)], len(lengths), clock)
    assert found == pytest.approx([length + 5 for length in lengths])


def test_calls_take_the_batches_in_turn() -> None:
    seen: list[float] = []
    batches = worker.split(images(6), 2)
    worker.timed(lambda batch: seen.append(float(batch[0, 0, 0, 0])), batches, 7, FakeClock())
    assert seen == [0, 2, 4, 0, 2, 4, 0]


def test_a_clock_that_does_not_tick_gives_no_zero() -> None:
    assert worker.timed(first_pixels, [images(1)], 2, lambda: 7) == [1, 1]


def test_a_real_spin_takes_at_least_as_long_as_it_spins() -> None:
    def spin(_: Images) -> None:
        end = time.perf_counter() + 2e-3
        while time.perf_counter() < end:
            pass

    assert min(worker.timed(spin, [images(1)], 5)) >= 2_000_000


@pytest.mark.parametrize(("count", "size"), [(10, 1), (10, 3), (10, 5), (10, 10), (10, 32), (1, 4)])
def test_all_batches_are_full_and_hold_every_image_in_order(count: int, size: int) -> None:
    batches = worker.split(images(count), size)
    assert {len(batch) for batch in batches} == {size}
    flat = np.concatenate(batches)[:, 0, 0, 0]
    assert flat[:count].tolist() == list(range(count))
    assert len(flat) - count < size
    assert set(flat) <= set(range(count))


@pytest.mark.parametrize(
    ("call_ns", "calls", "seconds", "expected"),
    [
        (1_000_000, 50, 1.0, 1_000),  # the second takes longer
        (50_000_000, 50, 1.0, 50),  # the calls do
        (50_000_000, 0, 0.0, 0),
    ],
)
def test_the_warm_up_reaches_both_its_calls_and_its_seconds(
    call_ns: int, calls: int, seconds: float, expected: int
) -> None:
    clock = FakeClock()
    run = spinning(clock, [call_ns] * 2_000)
    assert worker.warmed(run, worker.split(images(8), 2), worker.WarmUp(calls, seconds), clock) == expected


def test_a_buffer_that_a_runtime_uses_again_is_copied() -> None:
    buffer = np.zeros((2, 10), np.float32)

    def run(batch: Images) -> Images:
        buffer[:] = first_pixels(batch)
        return buffer

    answers = worker.answered(run, worker.split(images(6), 2))
    assert answers[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_answers_to_other_images_than_were_asked_are_refused() -> None:
    with pytest.raises(BadInput, match="1 answers to 2 images"):
        worker.answered(lambda batch: first_pixels(batch)[:1], [images(2)])


@pytest.mark.parametrize(("batch", "calls"), [(1, 1_000), (32, 480), (128, 120), (1_024, 60), (10_000, 60)])
def test_how_many_calls_are_timed_is_fixed_in_advance(batch: int, calls: int) -> None:
    assert calls_for(batch) == calls


def test_this_process_has_memory() -> None:
    peak = worker.peak_resident_bytes()
    assert peak is not None
    assert peak > 10_000_000
    assert worker.peak_device_bytes("cpu") is None
