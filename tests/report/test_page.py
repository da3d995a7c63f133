"""The page: complete, self-contained, inert, honest about what is missing; and, in a real browser, silent."""

import base64
import dataclasses
import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.text import Text
from msgspec.structs import replace

import mnist_bench.report as report
from mnist_bench import data, parity, store
from mnist_bench.cli import bench, export, study, train, verify
from mnist_bench.cli import report as report_of_cli
from mnist_bench.core import commands, plugins
from mnist_bench.core.bench_types import BenchPlan
from mnist_bench.core.kinds import Skipped
from mnist_bench.core.stats import share_interval
from mnist_bench.core.study_types import BATCHED
from mnist_bench.core.types import (
    Absent,
    Deviation,
    Emulated,
    FleetRecord,
    ParityRecord,
    ParityResult,
    Record,
    TrainConfig,
)
from mnist_bench.report import answers as report_answers
from mnist_bench.report._deployment import deployment, fastest_passed, passed_everywhere
from mnist_bench.report._errors import Gallery, Image, Mistake, galleries
from mnist_bench.report._targets import targets_table
from mnist_bench.report.answers import confusions, recommended, speed
from mnist_bench.report.figures import deployment as figure_of_deployment
from mnist_bench.report.page import render_page, sections
from mnist_bench.report.page._blocks import Matrix, Sorted
from mnist_bench.report.page.sections import parity as parity_section
from mnist_bench.report.page.sections import targets as targets_section
from tests.bench import made
from tests.browsers import faults_by_axe, opened_browser
from tests.conftest import Run
from tests.report.test_bench_views import inference, training
from tests.study import made as studies

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=alert(2)>'\"&$\\frac{"
TITLES = (
    "May I deploy it?",
    "What was trained",
    "Learning curves",
    "Activations and convergence",
    "Overfitting",
    "Confusion matrix of digits-relu",
    "misclassified test images of digits-relu",
    "Parity ladder of digits-relu",
    "Flip matrix",
    "Images without a certificate",
    "Latency in numbers",
    "Training throughput",
    "Share of hardware peak",
    "Environment and hashes",
    "Reproduce",
)
VOID = {"meta", "img", "input", "br"}


class Page(HTMLParser):
    """What a page holds: every start tag with its attributes, its text, and whether all is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, name: str) -> list[str]:
        return [value for _, attributes in self.tags if (value := attributes.get(name))]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def material(exported: Path, digits: data.Dataset) -> report.Material:
    """A run that was exported, verified and benchmarked, and a second one of which nothing more is known."""
    record = store.load_record(exported)
    assert record.checkpoint
    plan = parity.Plan(("onnxruntime",), (128,), (1,))
    compared = parity.verify(exported, digits, plan, lambda _: None)
    other = replace(record, name="digits-sigmoid", config=replace(record.config, activation="sigmoid"))
    weights = record.checkpoint.weights.sha256
    measured = [replace(one, name=record.name, weights_sha256=weights) for one in (inference(), training())]
    gathered = report.gather([exported])
    return report.Material(
        [record, other], gathered.manifests, [compared], measured, ["digits-sigmoid is stale"], dataset=digits
    )


def rendered(material: report.Material, **options: Any) -> str:
    return render_page(material, report.ViewOptions(**options))


@pytest.fixture(scope="module")
def text(material: report.Material) -> str:
    return rendered(material)


def test_the_page_is_closed_and_every_reference_is_to_something_within(text: str) -> None:
    page = Page(text)
    assert page.open == []
    ids = Counter(page.all("id"))
    assert [name for name, count in ids.items() if count > 1] == []
    targets = [target for target in page.all("href") if not target.startswith("data:")]
    assert {target.removeprefix("#") for target in targets} <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)
    assert {label for value in page.all("aria-labelledby") for label in value.split()} <= set(ids)


def test_the_page_can_run_nothing_and_load_nothing(text: str) -> None:
    page = Page(text)
    names = {tag for tag, _ in page.tags}
    assert names.isdisjoint({"script", "link", "iframe", "object", "embed", "form", "base"})
    attributes = {name for _, found in page.tags for name in found}
    assert not [name for name in attributes if name.startswith("on") or name in ("style", "srcset", "action")]
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert all(source.startswith("data:image/png;base64,") for source in page.all("src"))


def test_the_policy_allows_this_style_and_nothing_else(text: str) -> None:
    (policy,) = [content for content in Page(text).all("content") if content.startswith("default-src")]
    style = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)[0]
    allowed = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'"
    )


def test_every_part_is_there_and_says_its_numbers(text: str, material: report.Material) -> None:
    words, final = Page(text).words, material.records[0].final
    assert final
    for title in TITLES:
        assert title in words
    assert f"{final.test.accuracy:.2%}" in words
    assert material.records[0].dataset.sha256["train"] in words
    assert "digits-sigmoid is stale" in words
    pictures = [found for tag, found in Page(text).tags if tag == "svg" and found.get("class") == "plot"]
    assert len(pictures) >= 10
    assert all(found["role"] == "img" and found["aria-labelledby"] for found in pictures)


def test_all_mistakes_are_shown_in_each_order(text: str, material: report.Material) -> None:
    final = material.records[0].final
    assert final
    wrong = [i for i, margin in enumerate(final.predictions.margins) if margin < 0]
    assert wrong
    labels = Counter(Page(text).all("aria-label"))
    for index in wrong:
        assert labels[f"test image {index}"] == 3 * len(material.records)
    assert labels["test image 0"] == (3 * len(material.records) if 0 in wrong else 0)


def test_the_image_beside_a_mistake_is_the_nearest_of_its_class(
    material: report.Material, digits: data.Dataset
) -> None:
    (first, _) = galleries(material)
    assert isinstance(first, Gallery)
    assert [one.margin for one in first.mistakes] == sorted((one.margin for one in first.mistakes), reverse=True)
    assert sum(map(len, first.by_pair.values())) == len(first.mistakes)
    pixels = digits.train.pixels.reshape(len(digits.train), -1).astype(float) / 255
    for one in first.mistakes:
        distances = np.linalg.norm(pixels - digits.test.pixels[one.index].reshape(-1) / 255, axis=1)
        own = distances[digits.train.labels == int(one.predicted)]
        assert one.distance_predicted == pytest.approx(own.min(), rel=1e-5)
        assert one.like_predicted
        assert distances[int(one.like_predicted.key.removeprefix("train-"))] == pytest.approx(own.min(), rel=1e-5)
        assert one.distance_true == pytest.approx(distances[digits.train.labels == int(one.true)].min(), rel=1e-5)


def test_what_was_never_done_is_said_with_the_command_that_does_it(material: report.Material) -> None:
    bare = report.Material([material.records[1]])
    words = Page(rendered(bare)).words
    assert "Not here: parity of digits-sigmoid: its present weights were never verified" in words
    assert "mnist-bench verify --run digits-sigmoid" in words
    assert "Not here: latency of digits-sigmoid: its present weights were never benchmarked" in words
    assert "Not here: the mistakes of digits-sigmoid: no dataset was loaded" in words
    assert "this page is of one run, sigmoid" in words
    assert "mnist-bench study --dataset digits" in words
    assert "Does the exported model" not in words


def test_a_study_of_the_same_data_stands_in_the_page(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    record = store.load_record(own_copy)
    first = studies.record(
        [studies.result("relu", seed, (0.9, 0.9, 0.9, 0.9, 0.95 + seed / 1000)) for seed in range(6)]
        + [studies.result("sigmoid", seed, (0.9, 0.9, 0.9, 0.9, 0.94)) for seed in range(6)]
    )
    assert record.config.epochs == first.config.epochs
    own = replace(first, name="study-digits", dataset=replace(first.dataset, sha256=record.dataset.sha256))
    foreign = replace(own, name="study-other", dataset=first.dataset)
    unlike = replace(own, name="study-unlike", config=replace(own.config, batch_size=64))
    for one in (own, foreign, unlike):
        (Path("exports") / one.name).mkdir()
        store.save(Path("exports") / one.name, one)
    damaged = Path("exports/study-damaged/study.json")
    damaged.parent.mkdir()
    damaged.write_text("{", encoding="utf-8")
    assert run("report", "--html") == 0
    words = Page(Path("exports/digits-relu/report.html").read_text(encoding="utf-8")).words
    assert "study-digits: sigmoid - relu, test accuracy" in words
    assert "study-other" not in words
    assert "study-unlike" not in words
    assert "study study-damaged is left out" in words
    capsys.readouterr()
    assert run("report", "--html", "--study", "study-digits") == 2
    assert "--html is a page of runs" in capsys.readouterr().err
    for line in (("--html", "--table", "run"), ("--figures", "--format", "markdown")):
        assert run("report", *line) == 2
        assert "not with --html or --figures" in capsys.readouterr().err


def test_a_run_that_has_not_begun_or_not_ended_has_a_page(material: report.Material, digits: data.Dataset) -> None:
    record = material.records[0]
    for epochs in ((), record.epochs[:1]):
        begun = replace(record, epochs=epochs, final=None, checkpoint=None)
        words = Page(rendered(report.Material([begun], dataset=digits))).words
        assert "training is not finished" in words
        assert "mnist-bench train --run digits-relu --resume goes on" in words


def hostile(record: Record) -> Record:
    return replace(
        record,
        environment=replace(record.environment, cpu_model=HOSTILE, python=HOSTILE, libraries={HOSTILE: HOSTILE}),
        dataset=replace(record.dataset, name=HOSTILE, classes=(HOSTILE,) * 10, sha256={HOSTILE: "0" * 64}),
        config=replace(record.config, dataset=HOSTILE, engine=HOSTILE, device=HOSTILE),
        name=HOSTILE,
    )


def test_hostile_text_stays_text(material: report.Material) -> None:
    bad = hostile(material.records[0])
    compared = replace(material.comparisons[0], name=HOSTILE, classes=(HOSTILE,) * 10, edges=(HOSTILE,) * 4)
    measured = [replace(one, name=HOSTILE, dataset=HOSTILE) for one in material.benchmarks]
    text = rendered(
        report.Material([bad], [], [compared], measured, [HOSTILE], dataset=Skipped(HOSTILE, HOSTILE, HOSTILE))
    )
    page = Page(text)
    assert page.open == []
    names = Counter(tag for tag, _ in page.tags)
    assert names["script"] == names["img"] == 0
    assert names["style"] == 1
    assert HOSTILE in "".join(page.text)


# May it be deployed?


def deviating(compared: ParityRecord, result: ParityResult, *images: int) -> ParityResult:
    """Return a result that predicts the next class on these images, and on all others what the reference predicts."""
    predicted = list(compared.reference_predictions)
    for image in images:
        predicted[image] = (predicted[image] + 1) % len(compared.classes)
    changed = tuple(Deviation(image=image, prediction=predicted[image]) for image in images)
    correct = sum(a == b for a, b in zip(compared.labels, predicted, strict=False))
    return replace(result, deviations=changed, correct=correct, ties=0)


def failing(compared: ParityRecord, *, target: str = "onnxruntime int8") -> ParityRecord:
    """Return a comparison in which one target gave other answers."""
    results = [
        replace(deviating(compared, one, 0, 1, 2), failures=("3 certified images are predicted otherwise",))
        if one.configuration.target == target
        else one
        for one in compared.results
    ]
    return replace(compared, results=tuple(results))


@pytest.fixture(scope="module")
def broken(material: report.Material) -> report.Material:
    """The same, but that a target of the first run failed."""
    return dataclasses.replace(material, comparisons=[failing(material.comparisons[0])])


def cards(text: str) -> list[tuple[str, str]]:
    """Return of each card what state it shows, and its words."""
    found = re.findall(r'<article class="verdict (\w+)">(.*?)</article>', text, re.DOTALL)
    return [(state, Page(inner).words) for state, inner in found]


def test_the_first_screen_answers_whether_to_deploy(text: str, material: report.Material) -> None:
    record, compared = material.records[0], material.comparisons[0]
    assert record.final
    found = cards(text)
    assert [state for state, _ in found] == ["unknown", "passed"]  # of the other one nothing is known: it comes first
    unknown, passed = (words for _, words in found)
    assert "? Not known digits-sigmoid: not verified" in unknown
    assert "Run mnist-bench verify --run digits-sigmoid" in unknown
    assert "✔ Yes digits-relu: all " in passed
    for number in (
        f"{record.final.test.accuracy:.2%}",
        f"{record.final.test.images - record.final.test.correct:,} errors in",
        f"{compared.certificate.certified:,} of {compared.certificate.images:,}",
        "batch 1: 20.0 µs",
        "batch 128: 1,000.0 µs",
        "Fastest of 1 target timed",
    ):
        assert number in passed
    assert text.index('<article class="verdict') < text.index('id="errors"')


def test_what_failed_is_the_first_thing_seen(broken: report.Material) -> None:
    text = rendered(broken)
    (state, words), *_ = cards(text)
    assert state == "failed"
    assert "✘ No digits-relu: onnxruntime int8 failed" in words
    assert "onnxruntime int8: 3 certified images are predicted otherwise" in words
    assert '<td class="failed">FAILED</td>' in text
    table = next(iter(report.parity_tables(broken.comparisons[0], report.ViewOptions(), ["runtimes"])))
    assert [row[1] for row in table.rows][:2] == ["FAILED", "passed"]
    (picture,) = figure_of_deployment.build(broken)
    assert not isinstance(picture, Skipped)
    assert "FAILED: onnxruntime int8." in picture.says
    untimed = len({one.configuration.target for one in broken.comparisons[0].results}) - 1  # onnxruntime alone was
    labels = [one.get_text() for one in picture.figure.findobj(Text)]
    assert f"{untimed} not timed" in labels
    assert "onnxruntime int8" in labels


def test_it_may_not_be_deployed_where_another_processor_failed_or_a_target_was_not_asked(
    material: report.Material,
) -> None:
    compared, record = material.comparisons[0], material.records[0]
    elsewhere = [
        replace(
            one,
            configuration=replace(one.configuration, processor="nehalem", host="nehalem"),
            failures=("it is wrong",),
        )
        for one in compared.results[:1]
    ]
    fleet = FleetRecord.of(replace(compared, results=(*compared.results, *elsewhere)), (emulated("nehalem"),))
    found = deployment(dataclasses.replace(material, fleets=[fleet]), record)
    assert found.state == "failed"
    assert "on nehalem failed" in found.sentence
    silent = replace(compared, unreachable=(Absent(target="board", reason="it hangs", remedy="switch it on"),))
    found = deployment(dataclasses.replace(material, comparisons=[silent]), record)
    assert found.state == "unknown"
    assert found.causes == ["board: it hangs; switch it on"]


def test_what_says_nothing_of_a_run_is_no_yes(material: report.Material) -> None:
    compared, record = material.comparisons[0], material.records[0]
    assert deployment(material, record).state == "passed"

    def judged(record: Record = record, **found: Any) -> tuple[str, str]:
        judgement = deployment(dataclasses.replace(material, **found), record)
        return judgement.state, judgement.sentence

    assert judged(comparisons=[replace(compared, results=())]) == (
        "unknown",
        "no target was asked, so nothing is known of its runtimes",
    )
    assert judged(replace(record, final=None)) == ("unknown", "its training is not finished")
    refused = FleetRecord.of(compared, (replace(emulated("nehalem"), refusal="it adds wrongly"),))
    state, sentence = judged(fleets=[refused])
    assert (state, sentence.partition(";")[0]) == ("unknown", "nothing is known of nehalem")
    hung = replace(FleetRecord.of(compared, ()), unreachable=(Absent(target="board", reason="it hangs", remedy=""),))
    assert judged(fleets=[hung])[0] == "unknown"
    wrong = FleetRecord.of(failing(compared), ())
    assert judged(comparisons=[], fleets=[wrong]) == ("failed", "onnxruntime int8 failed")
    assumed = replace(compared, assumed=("softmax",))
    assert judged(comparisons=[assumed])[1].endswith(", under the assumption: softmax")


def test_the_fastest_target_is_one_that_was_verified(material: report.Material) -> None:
    (measured, *_), passed = material.inference, passed_everywhere(material, material.records[0])
    assert passed
    best = fastest_passed(measured, passed, 1)
    assert best
    second = fastest_passed(measured, passed - {best[0].configuration.target}, 1)
    assert second is None or second[0].configuration.target != best[0].configuration.target


def test_the_names_of_targets_are_cleaned_before_they_are_measured(broken: report.Material) -> None:
    """Matplotlib warns of a character that its font lacks, and warnings are errors here."""
    (compared,) = broken.comparisons
    named = [
        replace(one, configuration=replace(one.configuration, runtime="a\x1b[31m$\\frac{")) for one in compared.results
    ]
    (picture,) = figure_of_deployment.build(
        dataclasses.replace(broken, comparisons=[replace(compared, results=tuple(named))])
    )
    assert not isinstance(picture, Skipped)
    assert "\x1b" not in "".join(one.get_text() for one in picture.figure.findobj(Text))


def test_six_runs_are_judged_one_by_one(broken: report.Material) -> None:
    first, compared = broken.records[0], broken.comparisons[0]
    names = [f"run-{place}" for place in range(6)]
    good = report.Material(
        [replace(first, name=name) for name in names],
        comparisons=[replace(compared, name=name) for name in names[:1]],
    )
    text = rendered(good)
    assert [state for state, _ in cards(text)] == ["failed", *["unknown"] * 5]
    assert "6 runs: 1 failed, 5 not fully verified." in Page(text).words


def test_every_answer_opens_a_section(material: report.Material) -> None:
    known = set(plugins.names(sections))
    for name in plugins.names(report_answers):
        for answer in plugins.load(report_answers, name).build(material, report.ViewOptions()):
            assert answer.evidence in known


def test_targets_that_predict_alike_share_a_row_of_the_heat_map(material: report.Material) -> None:
    compared = material.comparisons[0]
    changed = tuple(
        deviating(compared, one, *([0] if one.configuration.precision == "int8" else [])) for one in compared.results
    )
    flipped = dataclasses.replace(material, comparisons=[replace(compared, results=changed)])
    (matrix,) = [one for one in parity_section.build(flipped, report.ViewOptions()) if isinstance(one, Matrix)]
    assert matrix.counts == [[0, 1], [1, 0]]
    assert [matrix.level(0, 0), matrix.level(0, 1)] == [0, 5]
    together = [row.split(" ", 1)[1].split(", ") for row in matrix.classes]
    assert together[1] == ["onnxruntime int8"]
    assert {"reference", "onnxruntime"} <= set(together[0])


def test_a_large_heat_map_looks_for_its_largest_count_once() -> None:
    class Row(list[int]):
        read = 0

        def __iter__(self) -> Iterator[int]:
            Row.read += 1
            return super().__iter__()

    size = 40
    matrix = Matrix("", [""] * size, [Row(range(size)) for _ in range(size)], "")
    assert {matrix.level(row, column) for row in range(size) for column in range(size)} == set(range(6))
    assert Row.read == size


def test_in_every_order_of_the_targets_what_failed_comes_first(broken: report.Material) -> None:
    (shown, _) = targets_section.build(broken, report.ViewOptions())
    assert isinstance(shown, Sorted)
    assert len(shown.orders) > 3
    places = [column.name for column in shown.table.columns]
    for name, rows in shown.orders.items():
        assert rows[0][1] == "FAILED"
        assert sorted(map(str, rows)) == sorted(map(str, shown.table.rows))
        place = places.index(targets_section.ORDERS[name])
        values: list[Any] = [row[place] for row in rows[1:] if row[place] is not None]
        assert values == sorted(values)


# The answers


def answers(material: report.Material, question: str, **options: Any) -> str:
    page = rendered(material, **options)
    (found,) = re.findall(rf'<article class="answer">\s*<h3>{re.escape(question)}.*?</article>', page, re.DOTALL)
    return Page(found).words


def test_the_activations_are_compared_image_by_image(material: report.Material) -> None:
    relu, sigmoid = material.records
    assert sigmoid.final
    found = sigmoid.final.predictions
    lucky = next(i for i, (a, b) in enumerate(zip(found.labels, found.predictions, strict=True)) if a != b)
    better = replace(
        found,
        predictions=tuple(found.labels[i] if i == lucky else one for i, one in enumerate(found.predictions)),
        margins=tuple(1.0 if i == lucky else one for i, one in enumerate(found.margins)),
    )
    test = replace(sigmoid.final.test, correct=sigmoid.final.test.correct + 1)
    changed = replace(sigmoid, final=replace(sigmoid.final, predictions=better, test=test))
    said = answers(report.Material([relu, changed]), "What does Sigmoid change?")
    assert "0 images are correct only with ReLU and 1 only with Sigmoid." in said
    assert "would have probability 1 (exact McNemar test): no more than the choice of test images explains" in said
    assert "one training from one seed" in said
    assert "What does Sigmoid change" not in Page(rendered(report.Material([relu]))).words


def test_the_answer_on_parity_puts_failures_first(material: report.Material) -> None:
    compared = material.comparisons[0]
    said = answers(material, "Does the exported model still give the same answers?")
    assert "digits-relu: yes, within the tolerance of each precision." in said
    broken = replace(compared, results=(replace(compared.results[0], failures=("it is wrong",)), *compared.results[1:]))
    name = compared.results[0].configuration.target
    said = answers(
        report.Material(material.records, [], [broken]), "Does the exported model still give the same answers?"
    )
    assert f"digits-relu: NOT in {name}." in said


def test_the_answer_on_speed_claims_no_more_than_the_statistics(material: report.Material) -> None:
    said = answers(material, "How fast is it really?")
    assert "batch 1, 1 thread: onnxruntime takes 20.0 µs a call" in said
    assert "significantly faster than every other" in said
    assert "batch 128, 1 thread: onnxruntime takes 1,000.0 µs a call" in said
    assert "not significantly faster than every other" in said


def test_the_answer_on_targets_names_the_fastest_that_passed(material: report.Material) -> None:
    (compared,), (measured,) = material.comparisons, material.inference
    names = {row.configuration.target for row in measured.rows if row.kind == "inference"}
    passed = {result.configuration.target for result in compared.results if not result.failures}
    assert "onnxruntime" in names & passed
    said = answers(material, "Which target should I take?")
    assert "digits-relu: the fastest is onnxruntime (20.0 µs a call, batch 1, 1 thread, 0 predictions changed)" in said
    assert "passed every comparison, here and on every processor" in said
    broken = replace(
        compared,
        results=tuple(
            replace(result, failures=("it is wrong",)) if result.configuration.target == "onnxruntime" else result
            for result in compared.results
        ),
    )
    others = dataclasses.replace(material, comparisons=[broken])
    found = [one for answer in recommended.build(others, report.ViewOptions()) for one in answer.sentences]
    assert not [sentence for sentence in found if "onnxruntime (" in sentence]
    assert not list(recommended.build(dataclasses.replace(material, comparisons=[]), report.ViewOptions()))


def with_sizes(material: report.Material, sizes: dict[str, int]) -> report.Material:
    """Return it with the sizes of installations by target; of no other is one known."""
    (measured,) = material.inference
    rows = [replace(row, installed_bytes=sizes.get(row.configuration.target)) for row in measured.rows]
    return dataclasses.replace(material, benchmarks=[replace(measured, rows=tuple(rows))])


def test_the_answer_on_targets_names_the_smallest_installation(material: report.Material) -> None:
    question = "Which target should I take?"
    assert "installation" not in answers(material, question)
    said = answers(with_sizes(material, {"onnxruntime": 135_000_000}), question)
    assert "The smallest installation is that of onnxruntime: 135 MB with all its dependencies." in said
    said = answers(with_sizes(material, {"onnxruntime": 0}), question)
    assert "onnxruntime needs no library, only its file of 2.0 MB." in said
    assert "Among those that need a library" not in said
    sizes = {"c": 0, "onnxruntime": 135_000_000, "ncnn": 89_000_000}
    rows = [replace(made.row([1e-5], made.configuration(name)), installed_bytes=size) for name, size in sizes.items()]
    rows.append(replace(made.row([1e-5], made.configuration(host="browser")), installed_bytes=41_000_000))
    *_, second = recommended._smallest(rows)
    named = "Among those that need a library, the smallest installation is that of ncnn"
    assert second == f"{named}: 89 MB with all its dependencies."


def emulated(name: str) -> Emulated:
    return Emulated(name=name, model=name, emulator="qemu")


def test_what_failed_on_another_processor_is_not_recommended(material: report.Material) -> None:
    (compared,), record = material.comparisons, material.records[0]
    ours = next(one for one in compared.results if one.configuration.target == "onnxruntime")
    there = replace(
        ours,
        configuration=replace(ours.configuration, processor="nehalem", host="nehalem"),
        failures=("it is wrong",),
    )
    fleet = FleetRecord.of(replace(compared, results=(*compared.results, there)), (emulated("nehalem"),))
    material = dataclasses.replace(material, fleets=[fleet])
    passed = passed_everywhere(material, record)
    assert passed is not None
    assert ("onnxruntime" in passed, "onnxruntime int8" in passed) == (False, True)
    assert "Which target should I take?" not in rendered(material)  # none was timed that could be
    ((_, words), *_) = cards(rendered(material))
    assert "none timed at batch 1 or 128, of those that passed" in words
    rows = {str(row[0]): row[1] for row in report.closing(material, record, report.ViewOptions()).rows}
    assert rows["Fastest target"] == "none that passed was timed: mnist-bench bench --run digits-relu"
    (picture,) = figure_of_deployment.build(material)
    assert not isinstance(picture, Skipped)
    assert "FAILED: onnxruntime." in picture.says
    verdicts = {row[0]: row[1] for row in targets_table(compared, None, fleet).rows}
    assert verdicts["onnxruntime"] == "FAILED on nehalem"
    assert verdicts["onnxruntime int8"] == "passed"
    assert '<td class="failed">FAILED on nehalem</td>' in rendered(material)


def test_runs_of_the_same_weights_are_told_apart(material: report.Material) -> None:
    """A copy of a run's folder is another run: what failed there failed there alone."""
    (compared,), measured = material.comparisons, material.inference[0]
    record = material.records[0]
    copied = dataclasses.replace(
        material,
        records=[record, replace(record, name="copy")],
        comparisons=[compared, replace(failing(compared, target="onnxruntime"), name="copy")],
        benchmarks=[measured, replace(measured, name="copy")],
    )
    for either in (copied, dataclasses.replace(copied, records=copied.records[::-1])):
        said = answers(either, "Which target should I take?")
        assert "digits-relu: the fastest is onnxruntime " in said
        assert "copy: the fastest is onnxruntime " not in said


def test_the_answer_on_targets_names_what_passed_on_most_processors(material: report.Material) -> None:
    (compared,) = material.comparisons
    names = ("haswell", "nehalem")
    results = [
        replace(one, configuration=replace(one.configuration, processor=name))
        for one in compared.results
        for name in names
        if one.configuration.precision != "fp16"
    ]
    results[-1] = replace(results[-1], failures=("it is wrong",))
    lame = results[-1].configuration.precision
    fleet = FleetRecord.of(replace(compared, results=tuple(results)), tuple(map(emulated, names)))
    said = answers(dataclasses.replace(material, fleets=[fleet]), "Which target should I take?")
    (sentence,) = re.findall(r"Passed on the most processors, ([^.]*)\.", said)
    assert sentence.startswith("2 of 2 emulated ones: ")
    assert "onnxruntime in fp32" in sentence or lame == "fp32"
    assert f"onnxruntime in {lame}" not in re.split("[,:] ", sentence)


def test_targets_are_side_by_side_with_what_is_known_of_each(material: report.Material) -> None:
    (compared,), (measured,) = material.comparisons, with_sizes(material, {"onnxruntime": 135_000_000}).inference
    table = targets_table(compared, measured)
    assert [row[0] for row in table.rows] == list(dict.fromkeys(one.configuration.target for one in compared.results))
    names = [column.name for column in table.columns]
    row = dict(zip(names, next(row for row in table.rows if row[0] == "onnxruntime"), strict=True))
    covered = compared.certificate.certified
    assert (row["Verdict"], row["Flips"], row["Certified"]) == (
        "passed",
        0,
        f"{covered:,} of {covered:,}".replace(" ", "\N{NO-BREAK SPACE}"),
    )
    assert (row["Batch 1, µs"], row["Batch 128, µs"]) == pytest.approx((20e-6, 1e-3))
    assert (row["Start"], row["Memory"]) == (0.875, 100_000_000)
    assert (row["File"], row["Installed"]) == (2_000_000, 135_000_000)
    failed = replace(compared, results=tuple(replace(one, failures=("it is wrong",)) for one in compared.results))
    assert {row[1] for row in targets_table(failed, None).rows} == {"FAILED"}
    assert {cell for row in targets_table(failed, None).rows for cell in row[5:]} == {None}


def test_the_answer_on_speed_says_where_blocks_are_too_few() -> None:
    rows = [made.row([1e-5 * (place + 1)] * 6, made.configuration(f"runtime-{place}")) for place in range(4)]
    (answer,) = speed.build(report.Material([], benchmarks=[made.record(rows)]), report.ViewOptions())
    assert "6 blocks are too few to tell whether it is the fastest" in answer.sentences[0]
    (answer,) = speed.build(report.Material([], benchmarks=[made.record(rows[:2])]), report.ViewOptions())
    assert "significantly faster than every other" in answer.sentences[0]


def test_a_flip_on_an_edge_image_is_not_one_on_a_test_image(material: report.Material) -> None:
    compared = material.comparisons[0]
    edge = Deviation(image=len(compared.labels), prediction=1)
    changed = replace(compared, results=tuple(replace(one, deviations=(edge,)) for one in compared.results))
    told = answers(dataclasses.replace(material, comparisons=[changed]), "Does the exported model")
    assert "no prediction on any test image differs from the reference" in told
    assert f"on {compared.edges[0]}" in told
    table = next(
        one
        for one in report.all_tables(dataclasses.replace(material, comparisons=[changed]), report.ViewOptions())
        if one.title.startswith("Runtimes of")
    )
    place = [column.name for column in table.columns].index("Flips")
    assert {row[place] for row in table.rows} == {0}


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((5, 3, 2, 1), "0 → 1 (5), 0 → 2 (3), 0 → 3 (2). These make up 91%"),
        ((5, 3, 1, 1), "0 → 1 (5), 0 → 2 (3). These make up 80%"),
        ((1, 1, 1, 1, 1), "0 → 1 (1), 0 → 2 (1), 0 → 3 (1), and 2 more as often. These make up 60%"),
    ],
)
def test_the_most_frequent_confusions_end_before_a_tie(counts: tuple[int, ...], told: str) -> None:
    image = Image("none", "")
    kinds = [place for place, count in enumerate(counts, 1) for _ in range(count)]
    wrong = [Mistake(0, (0, kind), "0", str(kind), 1.0, image, image, 1.0, 2.0) for kind in reversed(kinds)]
    assert told in next(iter(confusions._sentences(Gallery("run", wrong))))


# The summary in Markdown


def test_the_summary_has_the_numbers_first_and_all_tables_folded(material: report.Material) -> None:
    options = report.ViewOptions()
    text = report.summary(material, options, report.all_tables(material, options))
    final = material.records[0].final
    assert final
    row = next(line for line in text.splitlines() if line.startswith("| digits-relu "))
    assert f"{final.test.accuracy:.2%}" in row
    assert "onnxruntime, 1 thread: 20.0" in row
    other = next(line for line in text.splitlines() if line.startswith("| digits-sigmoid "))
    assert other.count("not verified") == 2
    assert other.count("not benchmarked") == 2
    assert (
        text.count("<details><summary>") == text.count("</details>") == len(list(report.all_tables(material, options)))
    )


def test_the_summary_opens_with_the_verdict(material: report.Material, broken: report.Material) -> None:
    options = report.ViewOptions()
    assert report.summary(material, options, iter(())).startswith("**PASSED** digits-relu: all 4 targets give ")
    lines = report.summary(broken, options, iter(())).splitlines()
    assert lines[0].startswith("**FAILED** digits-relu: onnxruntime int8 failed; the other 3 passed.")
    assert "3 certified images are predicted otherwise" in lines[2]


def test_the_summary_stays_below_what_github_takes(material: report.Material) -> None:
    options = report.ViewOptions()
    long = report.Table("Long", [report.Column("x")], [["y" * 2_000]] * 100)
    text = report.summary(material, options, iter([long] * 40))
    assert len(text) < 65_536
    assert "80 more rows: name the table with --table" in text
    assert "more tables do not fit here" in text


def test_a_hostile_summary_stays_text(material: report.Material) -> None:
    bad = report.Material([hostile(material.records[0])])
    hostile_table = report.Table(HOSTILE, [report.Column(HOSTILE)], [[HOSTILE + "@everyone"]])
    text = report.summary(bad, report.ViewOptions(), iter([hostile_table]))
    assert re.findall(r"(?<!\\)<(?!/?details>|/?summary>)", text) == []
    assert "@everyone" not in text


def test_the_command_gives_the_summary_and_a_named_table_whole(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", "--format", "markdown") == 0
    assert capsys.readouterr().out.startswith(
        "**NOT KNOWN** digits-relu: not verified, so nothing is known of its runtimes.\n"
    )
    assert run("report", "--format", "markdown", "--table", "misclassified") == 0
    assert capsys.readouterr().out.startswith("### Misclassified by digits-relu\n")


# The commands that do it again


def options_of(line: str, command: Any) -> dict[str, Any]:
    """Parse a command line as the program would."""
    program, name, *arguments = shlex.split(line)
    assert program == "mnist-bench"
    context = command.make_context(name, list(arguments))
    return dict(context.params)


def test_the_training_command_gives_the_configuration_again(material: report.Material) -> None:
    record = material.records[0]
    changed = replace(
        record, config=replace(record.config, seed=7, learning_rate=0.002, batch_size=64, validation="holdout")
    )
    given = options_of(commands.train_command(changed), train.command)
    for name in ("dataset", "activation", "seed", "epochs", "threads", "device", "learning_rate", "batch_size"):
        assert given[name] == getattr(changed.config, name)
    assert given["validation"] == "holdout"
    assert given["name"] == record.name
    several = replace(record, config=replace(record.config, processes=4))
    assert commands.train_command(several).startswith("torchrun --nproc-per-node=4 -m -- mnist_bench train ")
    assert commands.resume_command(several).startswith("torchrun --nproc-per-node=4 -m -- mnist_bench train ")
    other = options_of(commands.other_activation_command(changed), train.command)
    assert (other["activation"], other["seed"], other["batch_size"], other["dataset"]) == ("sigmoid", 7, 64, "digits")
    place = Path("some where/o'clock")
    assert options_of(commands.train_command(record, place), train.command)["out"] == place
    page = report.Material([record], out=place)
    given = options_of(
        commands.report_command([one.name for one in page.records], [one.name for one in page.studies], 0.5, page.out),
        report_of_cli.command,
    )
    assert (given["out"], given["convergence_at"], given["names"]) == (place, 0.5, (record.name,))


def test_the_other_commands_are_understood(material: report.Material) -> None:
    lines = list(commands.export_commands(material.manifests[0]))
    given = [options_of(line, export.command) for line in lines]
    made_again = {(one["names"], one["precisions"]) for one in given}
    assert (("onnx",), ("fp16", "int8-dynamic", "int8", "fp32")) in {
        (names, tuple(sorted(kinds, key=("fp16", "int8-dynamic", "int8", "fp32").index))) for names, kinds in made_again
    }
    given_verify = options_of(commands.verify_command(material.comparisons[0]), verify.command)
    assert (given_verify["batch_sizes"], given_verify["threads"]) == ((128,), (1,))
    several = studies.record(config=TrainConfig(dataset="digits", epochs=3, batch_size=64), seeds=(3, 7))
    given_study = options_of(commands.study_command(several), study.command)
    assert (given_study["seeds"], given_study["dataset"], given_study["epochs"]) == ((3, 7), "digits", 3)
    assert (given_study["batch_size"], given_study["activation"]) == (64, "both")
    assert given_study["engine"] == several.config.engine
    at_once = studies.record(config=TrainConfig(device="cuda:0", engine=BATCHED))
    assert options_of(commands.study_command(at_once), study.command)["engine"] is None
    assert options_of(commands.study_command(studies.record(seeds=(0, 1, 2))), study.command)["seeds"] == (0, 1, 2)
    plan = BenchPlan(blocks=6, batch_sizes=(1, 128), threads=(1,), seed=3, targets=("onnxruntime",))
    given_bench = options_of(commands.bench_command(made.record(plan=plan)), bench.command)
    assert given_bench["quick"]
    assert (given_bench["runtimes"], given_bench["seed"]) == (("onnxruntime",), 3)


# The command


def test_the_command_writes_the_page_into_the_first_run(
    own_copy: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("report", "--html") == 0
    assert capsys.readouterr().out == "exports/digits-relu/report.html\n"
    first = Path("exports/digits-relu/report.html").read_text(encoding="utf-8")
    assert Page(first).open == []
    assert run("report", "--html") == 0
    assert Path("exports/digits-relu/report.html").read_text(encoding="utf-8") == first  # equal records, equal bytes


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with opened_browser() as chromium:
        yield chromium


@pytest.mark.programs
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 820, 1440])
def test_a_browser_shows_it_without_a_request_a_message_or_an_overflow(
    browser: Any, text: str, tmp_path: Path, width: int, scheme: str
) -> None:
    requests, messages, tab = opened(browser, text, tmp_path, width, scheme)
    assert requests == [(tmp_path / "page.html").as_uri()]
    assert messages == []
    assert tab.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    boxes = "[...document.querySelectorAll('main *:not(svg *, .scroll *, pre *)')].filter(e => e.checkVisibility())"
    assert (
        tab.evaluate(f"{boxes}.filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML)")
        == []
    )
    tab.close()


@pytest.mark.programs
def test_the_browser_check_can_fail(browser: Any, tmp_path: Path) -> None:
    bad = (
        '<!DOCTYPE html><meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
        '<body style="width: 3000px"><img src="file:///nowhere.png">'
    )
    _, messages, tab = opened(browser, bad, tmp_path, 820, "light")
    assert any("Content Security Policy" in message for message in messages)
    wide = bad.replace("default-src 'none'", "default-src 'none'; style-src 'unsafe-inline'")
    _, _, tab = opened(browser, wide, tmp_path, 820, "light")
    assert tab.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")


@pytest.mark.programs
def test_the_mistakes_can_be_put_in_another_order_without_a_script(browser: Any, text: str, tmp_path: Path) -> None:
    _, _, tab = opened(browser, text, tmp_path, 820, "light")
    first = tab.locator(".gallery").first
    assert first.locator(".confident").is_visible()
    first.get_by_label("by pair").check()
    assert not first.locator(".confident").is_visible()
    assert first.locator(".pairs").is_visible()
    first.get_by_label("closest first").check()
    assert first.locator(".close").is_visible()
    assert tab.locator(".gallery").nth(1).locator(".confident").is_visible()
    tab.close()


@pytest.mark.programs
def test_on_paper_what_is_folded_is_open(browser: Any, text: str, tmp_path: Path) -> None:
    _, _, tab = opened(browser, text, tmp_path, 820, "light")
    hidden = tab.locator("details table").first
    assert not hidden.is_visible()
    tab.emulate_media(media="print")
    assert hidden.evaluate("e => e.checkVisibility({contentVisibilityAuto: true})")
    assert not tab.locator("nav").is_visible()
    tab.close()


@pytest.mark.programs
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1440, "dark")])
def test_axe_finds_nothing(browser: Any, broken: report.Material, tmp_path: Path, width: int, scheme: str) -> None:
    """Of a page with something failed on it, and with everything unfolded."""
    _, _, tab = opened(browser, rendered(broken), tmp_path, width, scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert faults_by_axe(tab) == []
    tab.close()


@pytest.mark.programs
def test_axe_can_find_something(browser: Any, tmp_path: Path) -> None:
    bad = (
        '<!DOCTYPE html><html><title>x</title><main><h1>x</h1><p style="color: #ccc">pale</p><img src="data:,"></main>'
    )
    _, _, tab = opened(browser, bad, tmp_path, 820, "light")
    found = {one.partition(":")[0] for one in faults_by_axe(tab)}
    assert found >= {"color-contrast", "html-has-lang", "image-alt"}
    tab.close()


@pytest.mark.programs
def test_the_targets_can_be_put_in_another_order_without_a_script(browser: Any, text: str, tmp_path: Path) -> None:
    _, _, tab = opened(browser, text, tmp_path, 820, "light")
    first = tab.locator(".sorted").first
    assert [one.inner_text() for one in first.locator("caption:visible").all()] == [
        "Targets of digits-relu, fastest at batch 1 first"
    ]
    first.get_by_role("radio", name="by name").check()
    (shown,) = first.locator("table:visible").all()
    names = [one.inner_text() for one in shown.locator("tbody th").all()]
    assert names == sorted(names)
    assert len(names) > 1
    tab.close()


def opened(browser: Any, text: str, folder: Path, width: int, scheme: str) -> tuple[list[str], list[str], Any]:
    """Open a page; return what it asked for, what the console said, and the tab."""
    path = folder / "page.html"
    path.write_text(text, encoding="utf-8")
    tab = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    requests: list[str] = []
    messages: list[str] = []
    tab.on("request", lambda one: None if one.url.startswith("data:") else requests.append(one.url))
    tab.on("console", lambda one: messages.append(one.text))
    tab.on("pageerror", lambda one: messages.append(str(one)))
    tab.goto(path.as_uri(), wait_until="load")
    return requests, messages, tab


def closing(material: report.Material, **settings: Any) -> list[str]:
    """Return what `run` ends with, of the first run, as it is printed on a terminal of 80 columns."""
    options = report.ViewOptions(**settings)
    (record, *_) = material.records
    _, words = report.verdict(material, record)
    drawn = report.render("rich", [report.closing(material, record, options)], color=False)
    return [words, *drawn.splitlines()]


def test_a_run_ends_with_what_came_out_on_one_screen(
    material: report.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    found, record = closing(material), material.records[0]
    assert len(found) <= 22  # beside the path of the page and the prompt
    assert max(map(len, found)) <= 80
    said = "\n".join(found)
    assert record.final
    assert f"{record.final.test.accuracy:.2%} (95%: " in said
    for words in ("Overfitting gap", "97% reached", "True → predicted", "Certified", "Fastest, batch 1 "):
        assert words in said


def test_a_failure_is_its_first_line(material: report.Material) -> None:
    compared = material.comparisons[0]
    assert report.verdict(material, material.records[0])[0] == "passed"
    broken = replace(compared.results[0], failures=("3 flips",))
    failing = dataclasses.replace(
        material, comparisons=[replace(compared, results=(broken, *compared.results[1:])), *material.comparisons[1:]]
    )
    state, words = report.verdict(failing, failing.records[0])
    assert state == "failed"
    assert f"{broken.configuration.target} failed" in words
    assert any(line.startswith(" Failed: 1 ") and "3 flips" in line for line in closing(failing))
    state, words = report.verdict(dataclasses.replace(material, comparisons=[]), material.records[0])
    assert state == "unknown"
    assert "not verified" in words


def test_that_nothing_was_timed_is_said_with_the_command_for_it(
    material: report.Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    untimed = dataclasses.replace(material, benchmarks=[])
    told = "\n".join(closing(untimed))
    assert re.search("Fastest target +not benchmarked: mnist-bench bench --run digits-relu", told)
    assert "not benchmarked; run mnist-bench bench --run digits-relu" in rendered(untimed)
    assert "not benchmarked: " not in "\n".join(closing(material))


def test_the_picture_calls_no_gain_a_negative_loss(material: report.Material) -> None:
    compared = material.comparisons[0]
    pairs = zip(compared.labels, compared.reference_predictions, strict=False)
    image = next(place for place, (label, predicted) in enumerate(pairs) if label != predicted)
    righted = (Deviation(image=image, prediction=compared.labels[image]),)
    better = tuple(
        replace(one, deviations=righted, correct=compared.reference_correct + 1, ties=0)
        for one in compared.results
        if one.sample is None
    )
    (picture,) = figure_of_deployment.build(
        dataclasses.replace(material, comparisons=[replace(compared, results=better)])
    )
    assert not isinstance(picture, Skipped)
    targets = len({one.configuration.target for one in better})
    assert f"{targets} of {targets} that passed lose no accuracy." in picture.says
    assert "points gained)" in picture.says
    assert "-" not in picture.says.rpartition("The fastest")[2]


def test_several_runs_are_summed_up_with_what_failed_first(broken: report.Material) -> None:
    assert "2 runs: 1 failed, 1 not fully verified." in Page(rendered(broken)).words


def test_the_interval_of_an_accuracy_is_wilson_s() -> None:
    """Against scipy's."""
    from scipy.stats import binomtest

    for part, whole in ((0, 10), (9, 10), (9_848, 10_000), (360, 360)):
        low, high = binomtest(part, whole).proportion_ci(method="wilson")
        found = share_interval(part, whole)
        assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)
