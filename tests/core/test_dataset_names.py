import re
from pathlib import Path

import pytest

from mnist_bench.core.dataset_names import how_to_find, in_a_run, is_folder, output_names, shown
from mnist_bench.store import run_folder

NAMES = [
    ("mnist", "mnist", "mnist"),
    ("/home/me/my-digits", "…/my-digits", "my-digits"),
    ("/data/mnist", "…/mnist", "mnist"),
    ("C:\\data\\own", "…/own", "own"),
    ("/data/own/", "…/own", "own"),
    ("/data/a b; rm -rf é", "…/a b; rm -rf é", "a-b-rm--rf"),
    ("/data/…", "…/…", "images"),
    ("/data/" + "x" * 300, "…/" + "x" * 300, "x" * 80),
    ("/", "…//", "images"),
]


@pytest.mark.parametrize(("name", "as_shown", "as_run"), NAMES)
def test_a_path_is_shown_by_its_last_part_and_a_run_has_a_plain_name(name: str, as_shown: str, as_run: str) -> None:
    assert is_folder(name) is (name != "mnist")
    assert shown(name) == as_shown
    assert in_a_run(name) == as_run
    for run in (f"study-{in_a_run(name)}", f"{in_a_run(name)}-sigmoid"):
        assert run_folder(Path("out"), run).name == run


def test_where_to_look_depends_on_whose_it_is() -> None:
    assert how_to_find("mnist") == "give the same --data-dir"
    assert re.search("put its images back .* or give --data-dir", how_to_find("/own"))


def test_outputs_beyond_the_classes_are_numbered() -> None:
    assert output_names(("a", "b"), 4) == ("a", "b", "output 2", "output 3")
    assert output_names(("a", "b"), 2) == output_names(("a", "b"), 1) == ("a", "b")
