"""`mnist-bench predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mnist_bench.cli import _options
from mnist_bench.stages import requests

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mnist_bench.analysis.prediction import Likeness, Prediction
    from mnist_bench.core.kinds import Skipped
    from mnist_bench.core.types import Record
    from mnist_bench.data import Picture, Unreadable
    from mnist_bench.parity import Predictions

    Found = Sequence[tuple[str, Picture | Unreadable]]
    Pictures = Sequence[tuple[str, Picture]]

NAMED = 4


@click.command(
    epilog="""\b
Examples:
  # the newest run, in every runtime here
  mnist-bench predict seven.jpg
  # two pictures, a run of your choice
  mnist-bench predict a.png b.webp --run mnist-relu
  # all pictures in a folder
  mnist-bench predict letters/ --csv answers.csv
  # a picture from stdin
  curl -s https://example.org/4.png | mnist-bench predict - --csv -
"""
)
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path, allow_dash=True))
@_options.run_name
@_options.out
@click.option("--runtime", "runtimes", multiple=True, metavar="NAME", help="Only this runtime. Repeatable.")
@click.option(
    "--ground",
    type=click.Choice(["auto", "light", "dark"]),
    default="auto",
    show_default=True,
    help="Background of the pictures; light ones are inverted.",
)
@click.option("--as-is", is_flag=True, help="Do not prepare the pictures: they are 28 × 28, light on black.")
@_options.data_dir
@click.option(
    "--csv",
    "csv_path",
    metavar="FILE|-",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write a row for each picture and runtime to a file, or with '-' to stdout and nothing else there.",
)
@_options.quiet
def command(**given: Any) -> None:
    """Show what each runtime says to your own pictures.

    Takes PNG, JPEG or WebP files, folders of them, or - for stdin. Pictures are prepared as MNIST's images were:
    rotated by their EXIF data, inverted if the background is light, cropped, fitted into 20 × 20 and centred by mass
    in 28 × 28. A warning is shown for a picture unlike any training image, for a close call between two classes, and
    where runtimes disagree; see docs/predict.md.

    Exit code 2: a picture could not be read (the others are still answered). 3: a runtime gave no answer.
    """
    from mnist_bench import data, store
    from mnist_bench.cli._output import check_json_path, newest_run, show_result
    from mnist_bench.cli._pictures import sources

    asked = requests.Predict(**given)
    check_json_path(asked.csv_path)
    folder = store.run_folder(asked.out, asked.name or newest_run(asked.out))
    record = store.load_record(folder)
    named = sources(asked.files)
    read = data.read_pictures(named, asked.ground, as_is=asked.as_is)
    found = [(source.name, one) for source, one in zip(named, read, strict=True)]
    _complain_of(found)
    pictures = [(name, one) for name, one in found if isinstance(one, data.Picture)]
    said = _ask(folder, pictures, asked) if pictures else None
    predictions = list(_predictions(record, pictures, said, asked)) if said else []
    _write_csv(record, found, predictions, asked)
    if said:
        show_result(
            asked.quiet,
            tables=lambda: _show(predictions, said),
            line=lambda: _line(predictions),
            data_to=asked.csv_path,
        )
    _judge(found, said)


def _complain_of(found: "Found") -> None:
    """Tell of each picture that cannot be read; of a single one the error tells."""
    from mnist_bench import data
    from mnist_bench.cli._screen import complain

    for _, one in found if len(found) > 1 else ():
        if isinstance(one, data.Unreadable):
            complain(one.reason)


def _ask(folder: Path, pictures: "Pictures", asked: requests.Predict) -> "Predictions":
    """Ask one image at a time: what quantises by range answers an image as its batch has it."""
    import numpy as np

    from mnist_bench import data, parity
    from mnist_bench.cli._progress import configurations_display

    images = data.to_input(np.stack([picture.pixels for _, picture in pictures]))
    plan = parity.Plan(runtimes=tuple(dict.fromkeys(asked.runtimes)), batch_sizes=(1,))
    with configurations_display(asked.quiet) as on_event:
        return parity.predict(folder, images, plan, on_event)


def _predictions(
    record: "Record", pictures: "Pictures", said: "Predictions", asked: requests.Predict
) -> "Iterator[Prediction]":
    """Yield for each picture what all targets say to it."""
    from mnist_bench.analysis.prediction import REFERENCE, Answer, Prediction, softmax
    from mnist_bench.parity import Said

    voices = [Said(REFERENCE, said.reference), *said.said]
    shares = [None if one.logits is None else softmax(one.logits) for one in voices]
    likenesses = _likenesses(record, pictures, asked.data_dir)
    for place, (name, picture) in enumerate(pictures):
        yield Prediction(
            name=name,
            pixels=picture.pixels,
            about=picture.about,
            classes=record.dataset.classes,
            answers=[
                Answer(one.target, None if own is None else own[place], one.failure)
                for one, own in zip(voices, shares, strict=True)
            ],
            likeness=likenesses[place],
        )


def _likenesses(record: "Record", pictures: "Pictures", data_dir: Path | None) -> "Sequence[Likeness | Skipped]":
    """Find the training image nearest to each picture, where they are on this machine: nothing is downloaded."""
    import numpy as np

    import mnist_bench.report as report
    from mnist_bench import data
    from mnist_bench.analysis.prediction import Likeness
    from mnist_bench.core.kinds import Skipped

    dataset = report.matching_images([record], lambda: data.load(record.config.dataset, data_dir, download=False))
    if isinstance(dataset, Skipped):
        return [dataset] * len(pictures)
    nearest = data.nearest(np.stack([picture.pixels for _, picture in pictures]), dataset.train)
    usual, labels = data.usual_distance(dataset), dataset.train.labels[nearest.indices]
    return [
        Likeness(index, dataset.classes[label], distance, usual)
        for index, label, distance in zip(
            nearest.indices.tolist(), labels.tolist(), nearest.distances.tolist(), strict=True
        )
    ]


def _write_csv(record: "Record", found: "Found", predictions: "Sequence[Prediction]", asked: requests.Predict) -> None:
    """Write a row for each picture and target, in the order of the pictures."""
    import mnist_bench.report as report
    from mnist_bench import data
    from mnist_bench.cli._output import write_text

    if asked.csv_path is None:
        return
    readable = iter(predictions)
    rows = [(name, one.reason) if isinstance(one, data.Unreadable) else next(readable) for name, one in found]
    write_text(report.render("csv", [report.predictions_table(rows, record.dataset.classes)]), asked.csv_path)


def _show(predictions: "Sequence[Prediction]", said: "Predictions") -> None:
    import mnist_bench.report as report
    from mnist_bench.cli._screen import in_colour, say

    for one in predictions:
        say(report.prediction_text(one, color=in_colour()), rendered=True)
    if said.skipped:
        names = ", ".join(dict.fromkeys(one.target for one in said.skipped))
        say(f"Not asked: {names}; mnist-bench verify lists what each of them lacks.\n")


def _line(predictions: "Sequence[Prediction]") -> str:
    """Say what is on each picture, where they are few, and whether the targets agree."""
    from mnist_bench.report import many

    few = [f"{one.name}: {_answer(one)}" for one in predictions] if len(predictions) <= NAMED else []
    disputed = [one.name for one in predictions if one.dissenters]
    words = f"{many(len(predictions), 'picture')} answered"
    agreed = f"the targets do not agree on {len(disputed)} of them" if disputed else "all targets agree"
    return ", ".join([*few, agreed] if few else [words, agreed])


def _answer(one: "Prediction") -> str:
    """Say what the reference takes a picture for, and how sure it is."""
    reference = one.answers[0]
    assert reference.probabilities is not None
    best = reference.order[0]
    return f"{one.classes[best]} ({reference.probabilities[best]:.1%})"


def _judge(found: "Found", said: "Predictions | None") -> None:
    """Raise BadInput where a picture could not be read, and Unanswered where a target said nothing."""
    from mnist_bench import data
    from mnist_bench.core.errors import BadInput, Unanswered

    bad = [one.reason for _, one in found if isinstance(one, data.Unreadable)]
    if bad and len(found) == 1:
        raise BadInput(bad[0])
    if bad:
        raise BadInput(f"{len(bad):,} of {len(found):,} pictures could not be read; the first: {bad[0]}")
    silent = [one for one in said.said if one.failure] if said else []
    if silent:
        raise Unanswered(f"{len(silent)} target(s) said nothing; the first: {silent[0].target}: {silent[0].failure}")
