"""What is wrong with answers is found and named: each mistake by itself, two at once, and none where it is another."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from msgspec.structs import replace as replace_field
from numpy.typing import NDArray
from onnx import numpy_helper
from scipy.special import log_softmax, softmax

from mnist_bench import data, hosts, importers, store
from mnist_bench.core import plugins
from mnist_bench.core.digest import sha256
from mnist_bench.core.errors import BadInput, RuntimeFailed, Unreachable, Unsupported
from mnist_bench.core.kinds import Activation, Precision
from mnist_bench.core.signature import DEVIATION, MEAN, OURS, Pixels, before
from mnist_bench.core.types import Diagnosis, Hypothesis
from mnist_bench.parity import Assumption, Weights, _reference, hypotheses
from mnist_bench.parity._compare import EPS, TOLERANCE_EPS
from mnist_bench.parity._diagnosis import TOO_LATE, TWO, Trial, holds
from mnist_bench.parity._inputs import build_inputs
from mnist_bench.parity._int8 import certify_steps
from mnist_bench.parity._layers import reference_layers
from mnist_bench.parity._network import graph_of, weights_of
from mnist_bench.parity._quantised import Certificates
from mnist_bench.parity._targets import Target
from mnist_bench.parity.hypotheses import _narrow, permuted
from mnist_bench.parity.hypotheses._case import Case, Guess, Proof
from mnist_bench.runtimes import Model as Opened
from tests.parity.int8_kernels import CONFORMING, PAIRS, answer
from tests.parity.test_certificate import random_weights
from tests.parity.test_int8 import Drawn

F32 = np.float32
Images = NDArray[np.float32]
Model = Callable[[Images], NDArray[Any]]
ORDER = (8, 5, 4, 9, 1, 7, 6, 3, 2, 0)
"""The classes in the alphabetical order of their English names."""


@pytest.fixture(scope="module", params=["relu", "sigmoid"])
def weights(request: pytest.FixtureRequest) -> Weights:
    activation: Activation = request.param
    return random_weights(3, (784, 64, 32, 10), 0.15, activation)


@pytest.fixture(scope="module")
def images(digits: data.Dataset) -> Images:
    noise = np.random.default_rng(1).random((40, 1, 28, 28), F32)
    return np.concatenate([data.to_input(digits.test.pixels)[:160], noise])


def network(weights: Weights) -> Model:
    """Compute a network in float32."""

    def run(given: Images) -> NDArray[Any]:
        values: Any = given.reshape(len(given), -1).astype(F32)
        for place, (weight, bias) in enumerate(weights.layers):
            values = _reference.activate(values, weights.activation) if place else values
            values = values @ weight.astype(F32).T + bias.astype(F32)
        return np.asarray(values, F32)

    return run


def layers_of(weights: Weights, off: str = "") -> Callable[[Images], Mapping[str, NDArray[Any]]]:
    def show(given: Images) -> Mapping[str, NDArray[Any]]:
        return {layer.name: layer.values.astype(F32) for layer in reference_layers(weights, given)}

    return show


def case_of(
    weights: Weights, images: Images, model: Model, pixels: Pixels = "unit", precision: Precision = "fp32"
) -> Case:
    """Return the case of a model that is asked with pixels of a signature."""
    signature = replace_field(OURS, pixels=pixels)
    logits = _reference.logits(weights, images)
    largest = float(np.abs(logits[:160]).max())

    def ask(given: Images) -> NDArray[Any]:
        return model(np.asarray(signature.adapt(given), F32))

    return Case(
        images=images,
        answers=ask(images),
        logits=logits,
        tolerance=TOLERANCE_EPS * EPS * largest,
        largest=largest,
        precision=precision,
        ask=ask,
        show=lambda given: {},
        signature=signature,
        reference=weights,
        others=lambda: [("one-more", random_weights(4, (784, 64, 32, 10), 0.15, weights.activation))],
    )


def tried(case: Case, **fields: Any) -> dict[str, tuple[Guess, bool]]:
    """Try all hypotheses, and return what each comes to, and whether it holds, by name."""
    wrong = ~case.right()
    assert wrong.any()
    found = Trial(case, wrong, **fields).run(contextlib.nullcontext)
    return {name: (guess, holds(guess, wrong)) for name, guess in found}


def named(case: Case) -> list[str]:
    """Return the hypotheses that hold, the simplest first."""
    return [name for name, (_, held) in tried(case).items() if held]


def narrowed(bits: int) -> Callable[[Any], Any]:
    return lambda values: _narrow.nearest(bits)(values.astype(np.float64))


def in_half(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.float16).astype(F32)


def changed_weights(weights: Weights, change: Callable[[Any], Any]) -> Weights:
    return replace(weights, layers=tuple((change(weight), change(bias)) for weight, bias in weights.layers))


def random_dropout(weights: Weights) -> Model:
    drawn = np.random.default_rng(5)

    def run(given: Images) -> NDArray[Any]:
        weight, bias = weights.layers[0]
        kept = (drawn.random((1, len(weight))) > 0.2) / 0.8
        values = _reference.activate(given.reshape(len(given), -1) @ weight.T + bias, weights.activation) * kept
        return network_behind(weights, values)

    return run


def network_behind(weights: Weights, values: Any) -> NDArray[Any]:
    for place, (weight, bias) in enumerate(weights.layers[1:]):
        values = (_reference.activate(values, weights.activation) if place else values) @ weight.T + bias
    return np.asarray(values, F32)


MISTAKES: dict[str, Callable[[Weights], Model]] = {
    "softmax in the graph": lambda w: lambda x: softmax(network(w)(x), axis=1),
    "log-softmax in the graph": lambda w: lambda x: log_softmax(network(w)(x), axis=1),
    "pixels × 255": lambda w: lambda x: network(w)(x / F32(255)),
    f"pixels of mean {MEAN} and deviation {DEVIATION}": lambda w: lambda x: network(w)(x * F32(DEVIATION) + F32(MEAN)),
    "inverted images": lambda w: lambda x: network(w)(1 - x),
    "transposed images, NHWC read as NCHW": lambda w: lambda x: network(w)(np.ascontiguousarray(x.swapaxes(2, 3))),
    "normalised once too often": lambda w: lambda x: network(w)((x - F32(MEAN)) / F32(DEVIATION)),
    "pixels × 255 in the graph": lambda w: lambda x: network(w)(x * F32(255)),
    "permuted classes": lambda w: lambda x: network(w)(x)[:, ORDER],
    "dropout still on": random_dropout,
    "weights of another run": lambda w: network(random_weights(4, (784, 64, 32, 10), 0.15, w.activation)),
    "half precision somewhere": lambda w: lambda x: in_half(network(changed_weights(w, _narrow.half))(x)),
    "bfloat16 somewhere": lambda w: network(changed_weights(w, narrowed(7))),
    "answers that depend on the batch": lambda w: lambda x: network(w)(x) - network(w)(x).mean(0) / F32(8),
    "rounded or truncated weights": lambda w: network(changed_weights(w, lambda v: np.round(v, 4))),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_wrong_is_found_and_nothing_else_is_named(name: str, weights: Weights, images: Images) -> None:
    found = tried(case_of(weights, images, MISTAKES[name](weights)))
    assert [one for one, (_, held) in found.items() if held] == [name]
    guess, _ = found[name]
    assert guess.says
    assert guess.remedy


def test_every_hypothesis_is_tried_on_its_mistake() -> None:
    modules = {module.NAME for module in plugins.load_all(hypotheses)}
    others = {"logits after all", "pixels in [0, 1]", "one layer off", "int8 that saturates here"}  # further below
    assert modules == MISTAKES.keys() | others
    for module in plugins.load_all(hypotheses):
        assert module.__doc__
        assert module.SAYS
        assert module.REMEDY
        assert sum(hasattr(module, one) for one in ("asked", "OUTPUT", "explain")) == 1


def test_the_names_to_assume_are_those_that_verify_takes(weights: Weights, images: Images) -> None:
    for name, mistake in MISTAKES.items():
        case = case_of(weights, images, mistake(weights))
        guess, _ = tried(case)[name]
        for one in guess.assume:
            assert Assumption.of([one]).names == (one,)
    assert tried(case_of(weights, images, MISTAKES["permuted classes"](weights)))["permuted classes"][0].assume == (
        "permuted:8,5,4,9,1,7,6,3,2,0",
    )


NARROW = {
    "answers in fp16": (lambda w: lambda x: in_half(network(w)(x)), "half precision somewhere", "its answers"),
    "pixels in fp16": (lambda w: lambda x: network(w)(in_half(x)), "half precision somewhere", "its pixels"),
    "weights in fp16": (
        lambda w: network(changed_weights(w, _narrow.half)),
        "half precision somewhere",
        "its weights",
    ),
    "answers in bfloat16": (
        lambda w: lambda x: narrowed(7)(network(w)(x)).astype(F32),
        "bfloat16 somewhere",
        "its answers",
    ),
    "pixels in bfloat16": (
        lambda w: lambda x: network(w)(narrowed(7)(x).astype(F32)),
        "bfloat16 somewhere",
        "its pixels",
    ),
}


@pytest.mark.parametrize(("mistake", "name", "what"), NARROW.values(), ids=NARROW)
def test_what_was_rounded_is_said(
    mistake: Callable[[Weights], Model], name: str, what: str, weights: Weights, images: Images
) -> None:
    """And fp16 is offered as what it is only where the target computes in it."""
    noise = np.random.default_rng(8).random((len(images), 1, 28, 28), F32)  # pixels of images are few numbers
    case = case_of(weights, noise, mistake(weights))
    assert named(case) == [name]
    guess = tried(case)[name][0]
    assert f": {what} are rounded to it" in guess.says
    assert "--precision" not in guess.remedy
    in_it = tried(replace(case, computes="fp16"))[name][0]
    assert ("--precision fp16" in in_it.remedy) == name.startswith("half")


def test_rounded_weights_of_any_graph_are_found(weights: Weights, images: Images) -> None:
    """As they are of the specified network: its numbers are the graph's constants."""
    named_so = {f"fc{place}.{part}": array.astype(F32) for place, pair in enumerate(weights.layers, 1)
                for part, array in zip(("weight", "bias"), pair, strict=True)}  # fmt: skip
    graph = graph_of(importers.graph_of_weights(named_so, weights.activation), OURS)
    for name in ("bfloat16 somewhere", "rounded or truncated weights"):
        case = replace(case_of(weights, images, MISTAKES[name](weights)), reference=graph)
        assert named(case) == [name]


def test_an_unrelated_error_is_explained_by_nothing(weights: Weights, images: Images) -> None:
    def model(given: Images) -> NDArray[Any]:
        return np.asarray(network(weights)(given) * F32(1.01), F32)

    found = tried(case_of(weights, images, model))
    assert [name for name, (_, held) in found.items() if held] == []
    assert all(guess.hits is not None or guess.reason for guess, _ in found.values())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda w: lambda x: softmax(network(w)(x / F32(255)), axis=1), ("softmax", "bytes")),
        (lambda w: lambda x: softmax(network(changed_weights(w, narrowed(7)))(x), axis=1), ("softmax",)),
        (lambda w: lambda x: softmax(MISTAKES["normalised once too often"](w)(x), axis=1), ("softmax",)),
        (lambda w: lambda x: network(w)(1 - x)[:, ORDER], ("inverted", "permuted:8,5,4,9,1,7,6,3,2,0")),
        (lambda w: lambda x: softmax(network(w)(x), axis=1)[:, ORDER], ("softmax", "permuted:8,5,4,9,1,7,6,3,2,0")),
    ],
)
def test_two_mistakes_at_once_are_found(
    model: Callable[[Weights], Model], words: tuple[str, ...], weights: Weights, images: Images
) -> None:
    found = tried(case_of(weights, images, model(weights)))
    assert [name for name, (_, held) in found.items() if held] == [TWO]
    guess, _ = found[TWO]
    assert set(guess.assume) == set(words)
    assert "; and " in guess.says


def test_what_was_assumed_wrongly_is_found(weights: Weights, images: Images) -> None:
    case = case_of(weights, images, network(weights), pixels="bytes")
    assert named(case) == ["pixels in [0, 1]"]
    assert named(case_of(weights, images, MISTAKES["inverted images"](weights), pixels="bytes")) == ["inverted images"]
    assumed = replace(case_of(weights, images, network(weights)), output="softmax")
    assert named(assumed) == ["logits after all"]


@pytest.mark.parametrize("pixels", ["unit", "bytes", "normalised", "inverted"])
def test_images_come_to_a_model_as_if_others_had_been_asked(pixels: Pixels, images: Images) -> None:
    signature = replace_field(OURS, pixels=pixels)
    values = np.random.default_rng(2).random(images.shape, F32)
    assert np.allclose(signature.adapt(before(values, pixels)), values, atol=1e-6)
    assert np.allclose(before(signature.adapt(images), pixels), images, atol=1e-6)


@pytest.mark.parametrize(("name", "place"), [("fc1", 0), ("fc2", 1), ("fc3", 2)])
def test_the_layer_that_is_off_is_named(name: str, place: int, weights: Weights, images: Images) -> None:
    layers = list(weights.layers)
    layers[place] = (layers[place][0] + 0.05, layers[place][1])
    other = replace(weights, layers=tuple(layers))
    case = replace(case_of(weights, images, network(other)), show=layers_of(other))
    guess, held = tried(case)["one layer off"]
    assert held
    assert guess.says.startswith(f"{name} alone is off")
    layers[2 - place // 2] = (layers[2 - place // 2][0] * 1.1, layers[2 - place // 2][1])
    twice = replace(weights, layers=tuple(layers))
    if place != 2:  # behind the last nothing follows
        case = replace(case_of(weights, images, network(twice)), show=layers_of(twice))
        assert not tried(case)["one layer off"][1]


def test_weights_that_are_cut_off_are_told_from_those_that_are_rounded(weights: Weights, images: Images) -> None:
    for change, words in (
        (lambda v: np.round(v, 5), "rounded to 5 digits"),
        (_narrow.truncated(12), "cut off after 12 bits"),
        (_narrow.nearest(9), "rounded to 9 bits"),
    ):
        case = case_of(weights, images, network(changed_weights(weights, change)))
        guess, held = tried(case)["rounded or truncated weights"]
        assert held
        assert words in guess.says
    cut = case_of(weights, images, network(changed_weights(weights, _narrow.truncated(7))))
    assert named(cut) == ["bfloat16 somewhere"]


def test_rounding_to_bits_is_that_of_the_types() -> None:
    values = np.random.default_rng(0).normal(0, 3, 2000).astype(F32)
    assert (_narrow.nearest(10)(values.astype(np.float64)) == values.astype(np.float16)).all()
    cut = (values.view(np.uint32) & np.uint32(0xFFFF0000)).view(F32)
    assert (_narrow.truncated(7)(values.astype(np.float64)) == cut).all()


def test_answers_that_are_no_numbers_or_of_another_shape_are_explained_by_nothing(
    weights: Weights, images: Images
) -> None:
    case = case_of(weights, images, lambda x: np.full((len(x), 10), np.nan, F32))
    assert named(case) == []
    assert not case.explained(case.logits, case.answers[:, :9]).any()
    assert permuted.order_of(case.answers, case.logits)


def test_one_wrong_image_that_is_not_explained_is_enough(weights: Weights, images: Images) -> None:
    case = case_of(weights, images, network(weights))
    many = replace(
        case,
        images=np.concatenate([case.images] * 10),
        answers=np.concatenate([case.answers] * 10),
        logits=np.concatenate([case.logits] * 10),
    )
    many.answers[7] += 1
    wrong = ~many.right()
    guess = Guess(many.right(), "as it should be")
    assert guess.hits is not None
    assert guess.hits.mean() > 0.999
    assert not holds(guess, wrong)
    assert holds(Guess(np.ones(len(wrong), np.bool_), "all"), wrong)
    assert not holds(Guess(None, "", reason="too late"), wrong)


def test_what_cannot_be_asked_again_is_told(weights: Weights, images: Images) -> None:
    model = MISTAKES["softmax in the graph"](weights)
    case = case_of(weights, images, model)

    def dead(_: Images) -> NDArray[Any]:
        raise Unreachable("it ended with exit code 1")

    @contextlib.contextmanager
    def session() -> Iterator[None]:
        yield

    wrong = ~case.right()
    found = dict(Trial(replace(case, ask=dead), wrong).run(session))
    assert holds(found["softmax in the graph"], wrong)
    assert found["inverted images"].hits is None
    assert found["inverted images"].reason == "it could not be asked again: it ended with exit code 1"

    def refuses(_: Images) -> NDArray[Any]:
        raise RuntimeFailed("no such pixels")

    found = dict(Trial(replace(case, ask=refuses, show=lambda _: unsupported()), wrong).run(session))
    assert found["pixels × 255"].reason == "it does not answer that: no such pixels"
    assert found["one layer off"].reason == "it does not answer that: it shows none"


def unsupported() -> Any:
    raise Unsupported("it shows none")


def test_what_is_not_begun_in_time_is_told(weights: Weights, images: Images) -> None:
    found = tried(case_of(weights, images, MISTAKES["inverted images"](weights)), ends_at=0.0)
    assert {guess.reason for guess, _ in found.values()} == {TOO_LATE}


def test_without_weights_what_needs_them_is_told(weights: Weights, images: Images) -> None:
    case = replace(case_of(weights, images, MISTAKES["bfloat16 somewhere"](weights)), reference=None, others=tuple)
    found = tried(case)
    for name in ("rounded or truncated weights", "one layer off", "weights of another run"):
        assert found[name][0].hits is None
        assert found[name][0].reason
    assert named(replace(case_of(weights, images, MISTAKES["softmax in the graph"](weights)), reference=None)) == [
        "softmax in the graph"
    ]


def test_half_precision_has_the_mistakes_that_it_can_have(weights: Weights, images: Images) -> None:
    def model(given: Images) -> NDArray[Any]:
        return in_half(softmax(network(changed_weights(weights, _narrow.half))(given), axis=1))

    case = replace(case_of(weights, images, model, precision="fp16"), tolerance=0.02)
    assert named(case) == ["softmax in the graph"]
    assert "half precision somewhere" not in tried(case)


# Bytes


def saturating_case(seed: int, way: Any) -> Case:
    drawn = Drawn(3 * seed + 2, bits=8)
    answers = answer(drawn.steps, drawn.images, way)
    both = [certify_steps(drawn.steps, drawn.images, saturating=one).bounds for one in (True, False)]
    return Case(
        images=drawn.images,
        answers=answers,
        logits=both[1].logits,
        tolerance=np.inf,
        largest=1.0,
        precision="int8",
        ask=lambda given: answers,
        show=lambda given: {},
        proof=lambda: Proof(*both),
    )


def test_bytes_that_saturate_are_found_where_nothing_else_explains_them() -> None:
    found = 0
    for seed in range(1, 13):
        for way in (PAIRS, *CONFORMING[:2]):
            case = saturating_case(seed, way)
            wrong = ~case.right()
            if wrong.any():
                assert way == PAIRS
                assert named(case) == ["int8 that saturates here"]
                found += 1
    assert found > 2
    off = saturating_case(1, PAIRS)
    assert named(replace(off, answers=off.answers + F32(1e3))) == []
    unproved = replace(off, proof=lambda: None)
    assert tried(unproved)["int8 that saturates here"][0].reason == "nothing is proved of this file"


def planted(light: Path) -> Target:
    """Return the run's int8 file with a pair of weights that saturates where two pixels are bright."""
    proto = onnx.load(light / "model-int8.onnx")
    weight = next(one for one in proto.graph.initializer if one.name == "fc1.weight_quantized")
    values = numpy_helper.to_array(weight).copy()
    values[3, 406:408] = 127
    weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    content = proto.SerializeToString()
    opened = Opened({"model.onnx": content}, "onnx", "int8", "relu")
    return Target("onnxruntime", "int8", opened, hosts.HERE, hosts.launch(hosts.HERE), sha256(content), len(content))


def test_a_file_that_may_saturate_is_proved_with_and_without(light: Path, digits: data.Dataset) -> None:
    target = planted(light)
    inputs = build_inputs(digits, weights_of(light, store.load_record(light))).first(60)
    proof = Certificates(inputs).proof(target, 1)
    assert proof
    wider = (proof.any.logit_bounds > proof.without_saturation.logit_bounds).any(1)
    assert 0 < wider.sum() < len(inputs.images)
    assert (proof.any.logits[~wider] == proof.without_saturation.logits[~wider]).all()
    assumed = Certificates(inputs, Assumption.of(["transposed"]))
    assert assumed.proof(target, 1) is None
    assert "something is assumed of it (transposed)" in assumed.absent[0].reason
    changed = Certificates(inputs)
    assert changed.proof(target.under(Assumption.of(["bytes"])), 1) is None
    assert "images are changed on their way" in changed.absent[0].reason


# What is saved, and what may be assumed


def test_a_diagnosis_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="not tried"):
        Hypothesis(name="a", says="b", explained=None)
    with pytest.raises(ValueError, match="not tried"):
        Hypothesis(name="a", says="b", explained=None, holds=True, reason="c")
    with pytest.raises(ValueError, match="more images wrong"):
        Diagnosis(target="a", images=3, wrong=4, hypotheses=())
    one = Hypothesis(name="a", says="b", explained=1.0, holds=True)
    assert Diagnosis(target="a", images=3, wrong=3, hypotheses=(one, replace_field(one, name="c"))).cause == one
    assert Diagnosis(target="a", images=3, wrong=3, hypotheses=()).cause is None


@pytest.mark.parametrize(
    "names",
    [
        ["sigmoid"],
        ["softmax", "log-softmax"],
        ["bytes", "inverted"],
        ["bytes", "bytes"],
        ["transposed", "transposed"],
        ["permuted"],
        ["permuted:1,2,3"],
        ["permuted:0,1,2,3,4,5,6,7,8,8"],
        ["permuted:0,1,2,3,4,5,6,7,8,9,10"],
        ["permuted:0,1,2,3,4,5,6,7,8,9,x"],
        ["permuted:0,1,2,3,4,5,6,7,8,²"],
        ["softmax:1"],
        [""],
    ],
)
def test_what_cannot_be_assumed_is_refused(names: list[str]) -> None:
    with pytest.raises(BadInput):
        Assumption.of(names)


def test_what_is_assumed_keeps_its_name_and_changes_what_it_says() -> None:
    names = ("bytes", "transposed", "softmax", f"permuted:{','.join(map(str, ORDER))}")
    found = Assumption.of(names)
    assert found.names == names
    assert found.and_also("inverted").names == ("inverted", *names[1:])
    assert found.and_also("transposed").names == ("bytes", *names[2:])
    logits = np.arange(20.0, dtype=F32).reshape(2, 10)
    assert (found.of_answers(logits[:, ORDER]) == logits).all()
    assert found.of_answers(logits[:, :9]).shape == (2, 9)
    assert Assumption.of([]).of_answers(logits) is logits
