"""Images found from the weights, on which a changed weight shows."""

from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from mnist_bench import data
from mnist_bench.core.types import Configuration, Record
from mnist_bench.parity._compare import Inputs, compare
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._network import weights_of
from mnist_bench.parity._probes import TRIALS, passes, probes, unseen
from mnist_bench.parity._reference import Weights, logits
from tests.bench import made


@pytest.fixture(scope="module")
def weights(trained: tuple[Path, Record]) -> Weights:
    return weights_of(*trained)


@pytest.fixture(scope="module")
def inputs(weights: Weights, digits: data.Dataset) -> Inputs:
    return build_inputs(digits, weights, probing=True)


def test_probes_light_every_hidden_unit_and_are_images(weights: Weights) -> None:
    found = probes(weights)
    assert found.dtype == np.float32
    assert found.shape[1:] == (1, 28, 28)
    assert found.min() >= 0
    assert found.max() <= 1
    assert (passes(weights, found.reshape(len(found), -1).astype(np.float64)).before[0] > 0).any(0).all()
    assert (passes(weights, found.reshape(len(found), -1).astype(np.float64)).before[1] > 0).any(0).all()
    assert np.array_equal(found, probes(weights))  # the same weights give the same images


def test_few_changes_of_sign_are_not_seen_with_probes_and_many_without(weights: Weights, inputs: Inputs) -> None:
    alone = inputs.first(len(inputs.images) - inputs.probes)
    assert not alone.probes
    blind = unseen(weights, alone.images, alone.tolerance * alone.scales)
    left = unseen(weights, inputs.images, inputs.tolerance * inputs.scales)
    assert blind > TRIALS // 10
    assert left < TRIALS // 50


CONFIGURATION: Configuration = made.configuration("onnxruntime", precision="fp32")


def with_a_sign_changed(weights: Weights, layer: int, unit: int, source: int) -> Weights:
    changed = [(weight.copy(), bias) for weight, bias in weights.layers]
    changed[layer][0][unit, source] *= -1
    return Weights(tuple(changed), weights.activation)


def test_a_weight_that_no_test_image_brings_to_bear_is_missed_by_them_and_found_by_probes(
    weights: Weights, inputs: Inputs
) -> None:
    tests = passes(weights, inputs.images[: len(inputs.labels) + 4].reshape(-1, 784).astype(np.float64))
    unlit = np.flatnonzero(tests.before[0].max(0) < 0)
    assert len(unlit)
    unit = int(unlit[0])
    source = int(np.abs(weights.layers[0][0][unit]).argmax())
    other = with_a_sign_changed(weights, 0, unit, source)
    answer = logits(other, inputs.images).astype(np.float32)
    alone = inputs.first(len(inputs.images) - inputs.probes)
    assert compare(alone, answer[: len(alone.images)], CONFIGURATION).failures == ()
    (failure,) = compare(inputs, answer, CONFIGURATION).failures
    assert "probes" in failure
    assert "other weights" in failure


def test_right_answers_pass_on_probes_in_every_precision(weights: Weights, inputs: Inputs) -> None:
    answer = logits(weights, inputs.images).astype(np.float32)
    assert compare(inputs, answer, CONFIGURATION).failures == ()
    half = logits(weights, inputs.images).astype(np.float16).astype(np.float32)
    assert compare(inputs, half, replace(CONFIGURATION, precision="fp16")).failures == ()
    assert compare(inputs, half, CONFIGURATION).failures != ()


def test_answers_that_are_no_numbers_on_probes_alone_are_noticed(weights: Weights, inputs: Inputs) -> None:
    answer = logits(weights, inputs.images).astype(np.float32)
    answer[-1, 0] = np.nan
    assert [failure for failure in compare(inputs, answer, CONFIGURATION).failures if "probes" in failure]
