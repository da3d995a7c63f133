"""The order of the images and the dropout masks of an epoch, derived from (seed, epoch) alone."""

import hashlib

import torch
from torch import Tensor

from mnist_bench.core.architecture import HIDDEN_1

# Masks are drawn as 16-bit integers: 2^-16 is how finely a dropout rate is kept, and half the bytes of floats.
LEVELS = 1 << 16


def derived_seed(seed: int, epoch: int, purpose: str) -> int:
    """Return a 63-bit seed for one purpose of one epoch; unrelated to that of any other (SHA-256)."""
    digest = hashlib.sha256(f"mnist-bench/{purpose}/{seed}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def epoch_order(seed: int, epoch: int, images: int) -> Tensor:
    """Return the order in which an epoch visits the images: a permutation, int64 (images,), on the CPU."""
    generator = torch.Generator().manual_seed(derived_seed(seed, epoch, "order"))
    return torch.randperm(images, generator=generator)


def kept(dropout: float) -> tuple[int, float]:
    """Return up to which signed 16-bit integer a unit is kept, and by what kept units are scaled."""
    levels = max(round(LEVELS * (1 - dropout)), 1)
    return levels - LEVELS // 2 - 1, LEVELS / levels


class MaskStream:
    """The dropout masks of one epoch, one after the other; the same for every engine on one device.

    A unit is kept where a 16-bit random integer is below round(65536 · (1 - dropout)): the probability is within
    8e-6 of the nominal one, and kept units are scaled by its exact inverse, so that the expectation is exact.
    Four such integers come from each 64-bit draw, which costs a quarter of `bernoulli_`.
    """

    def __init__(self, seed: int, epoch: int, dropout: float, device: torch.device | str) -> None:
        self._largest_kept, self._scale = kept(dropout)
        self.generator = torch.Generator(device).manual_seed(derived_seed(seed, epoch, "masks"))
        self._words = torch.empty(0, HIDDEN_1 // 4, dtype=torch.int64, device=device)
        self.device = self.generator.device

    def draw(self, images: int) -> Tensor:
        """Return the next mask: float32 (images, 512) of 0 and 1 / (1 - dropout)."""
        if len(self._words) != images:
            self._words = self._words.new_empty(images, HIDDEN_1 // 4)
        return self._mask(self._drawn(self._words))

    def draw_each(self, sizes: list[int]) -> Tensor:
        """Return the next masks, one after the other: float32 (sum of sizes, 512); bit for bit those of `draw`."""
        return self._mask(self.draw_words(sizes))

    def draw_words(self, sizes: list[int]) -> Tensor:
        """Return what the next masks are made of, see `kept`: int64 (sum of sizes, 128), of four integers each."""
        words = self._words.new_empty(sum(sizes), HIDDEN_1 // 4)
        for part in torch.split(words, sizes):
            self._drawn(part)
        return words

    def _drawn(self, words: Tensor) -> Tensor:
        return words.random_(-(2**63), None, generator=self.generator)

    def _mask(self, words: Tensor) -> Tensor:
        mask = torch.empty(len(words), HIDDEN_1, device=words.device)
        return torch.le(words.view(torch.int16), self._largest_kept, out=mask).mul_(self._scale)

    def state(self) -> Tensor:
        """Return where the stream stands: uint8, on the CPU."""
        return self.generator.get_state()

    def restore(self, state: Tensor) -> None:
        """Go on from where another stream of the same kind stood."""
        self.generator.set_state(state)
