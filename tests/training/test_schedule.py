import math

import pytest
import torch

from mnist_bench.training._schedule import MaskStream, derived_seed, epoch_order


def test_an_epoch_visits_every_image_once() -> None:
    assert sorted(epoch_order(seed=3, epoch=2, images=1000).tolist()) == list(range(1000))


def test_order_and_masks_depend_on_seed_and_epoch_alone() -> None:
    def start(seed: int, epoch: int) -> tuple[list[int], torch.Tensor]:
        torch.manual_seed(seed * 100 + epoch)  # the global generator has no say
        return epoch_order(seed, epoch, 50).tolist(), MaskStream(seed, epoch, 0.2, "cpu").draw(4)

    order, mask = start(1, 1)
    again, same = start(1, 1)
    assert order == again
    assert torch.equal(mask, same)
    for seed, epoch in ((1, 2), (2, 1)):
        other, another = start(seed, epoch)
        assert order != other
        assert not torch.equal(mask, another)


def test_seeds_differ_by_purpose() -> None:
    seeds = {derived_seed(s, e, p) for s in range(20) for e in range(20) for p in ("order", "masks", "weights")}
    assert len(seeds) == 1200
    assert all(0 <= seed < 2**63 for seed in seeds)


@pytest.mark.parametrize("dropout", [0.0, 0.2, 0.5, 0.999])
def test_a_mask_keeps_the_expectation(dropout: float) -> None:
    mask = MaskStream(0, 1, dropout, "cpu").draw(4000)
    units = mask.numel()
    kept = (mask > 0).float().mean().item()
    assert mask.shape == (4000, 512)
    assert mask.dtype == torch.float32
    assert len(set(mask.flatten().tolist())) == (1 if dropout == 0 else 2)
    assert abs(kept - (1 - dropout)) <= 5 * math.sqrt(dropout * (1 - dropout) / units) + 8e-6
    assert mask.max().item() == pytest.approx(1 / (1 - dropout), rel=0.01)


def test_units_are_dropped_independently() -> None:
    kept = (MaskStream(0, 1, 0.5, "cpu").draw(4096) > 0).double() - 0.5
    correlations = kept.T @ kept / 4096 * 4 - torch.eye(512)
    assert correlations.abs().max() < 6 / math.sqrt(4096)


def test_a_stream_goes_on_where_another_stood() -> None:
    stream, other = MaskStream(0, 1, 0.2, "cpu"), MaskStream(0, 1, 0.2, "cpu")
    stream.draw(128)
    other.restore(stream.state())
    assert torch.equal(stream.draw(96), other.draw(96))


def test_masks_drawn_at_once_are_those_drawn_one_by_one() -> None:
    together, apart = MaskStream(0, 1, 0.2, "cpu"), MaskStream(0, 1, 0.2, "cpu")
    sizes = [64, 64, 22]
    assert torch.equal(together.draw_each(sizes), torch.cat([apart.draw(size) for size in sizes]))
    assert torch.equal(together.state(), apart.state())
