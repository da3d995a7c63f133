"""The least time that an epoch of MNIST could take: each step's eight products and Adam's traffic, nothing else.

Usage: python benchmarks/floor.py. Prints the seconds of an epoch with torch.mm alone, and with the fastest products
that PyTorch carries, both with Adam; a step of 128 images is 308 MFLOP, Adam moves seven passes over 2.14 MB.
"""

import json
from collections.abc import Callable
from functools import partial

import torch

from mnist_bench.bench import prober
from mnist_bench.core.architecture import Product, training_products

BATCH, STEPS, PARAMETERS = 128, 60_000 / 128, 535_818


@torch.inference_mode()
def main() -> None:
    ways = [list_of_ways(product) for product in training_products(BATCH)]
    mm = [found[0] for found in ways]
    fastest = [min(found, key=lambda way: prober.best(way, "cpu")) for found in ways]
    adam_s = prober.best(adam(), "cpu")
    seconds = {
        name: STEPS * (prober.best(partial(all_of, chosen), "cpu") + adam_s)
        for name, chosen in (("mm_s", mm), ("fastest_s", fastest))
    }
    print(json.dumps({**seconds, "adam_s": STEPS * adam_s, "threads": torch.get_num_threads()}))


def list_of_ways(product: Product) -> list[Callable[[], object]]:
    rows, inner, columns = product
    return prober._ways(torch.randn(rows, inner), torch.randn(columns, inner), constant=False)


def all_of(ways: list[Callable[[], object]]) -> None:
    for way in ways:
        way()


def adam() -> Callable[[], object]:
    parameter, gradient, average, square = (torch.rand(PARAMETERS) for _ in range(4))
    fixed = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "weight_decay": 0.0, "eps": 1e-8}
    step = torch.ones(())
    return partial(
        torch._fused_adam_,
        [parameter],
        [gradient],
        [average],
        [square],
        [],
        [step],
        amsgrad=False,
        maximize=False,
        **fixed,
    )


if __name__ == "__main__":
    main()
