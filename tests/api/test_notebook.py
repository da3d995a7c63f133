"""The notebook is small, clean, and does what it says, in a real kernel."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
MOST_CELLS = 15
SETTINGS = 1
"""The cell that says on what all of it is done."""

SMALL = """
import mnist_bench as mb
DATASET, EPOCHS, BLOCKS = "digits", 2, 1
FORMATS, RUNTIMES = ["onnx"], ["onnxruntime"]
"""


def read() -> Any:
    return json.loads(NOTEBOOK.read_text(encoding="utf-8"))


def source(cell: Any) -> str:
    return "".join(cell["source"])


def test_it_is_valid_small_and_without_outputs() -> None:
    nbformat: Any = importlib.import_module("nbformat")
    nbformat.validate(nbformat.read(NOTEBOOK, as_version=4))
    cells = read()["cells"]
    assert len(cells) <= MOST_CELLS
    assert cells[0]["cell_type"] == "markdown"
    assert 'DATASET, EPOCHS, BLOCKS = "mnist", 15, ' in source(cells[SETTINGS])
    of_code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [(cell["outputs"], cell["execution_count"]) for cell in of_code] == [([], None)] * len(of_code)


@pytest.fixture
def executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The notebook after all its cells were executed on the digits, by a kernel of this Python."""
    nbclient: Any = importlib.import_module("nbclient")
    nbformat: Any = importlib.import_module("nbformat")
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))  # nothing of the user's
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells[SETTINGS].source = SMALL
    last = notebook.cells[-1]
    assert "blocks=BLOCKS" in last.source
    last.source = last.source.replace("blocks=BLOCKS", "blocks=BLOCKS, allow_busy=True")
    nbclient.NotebookClient(notebook, timeout=280, resources={"metadata": {"path": str(tmp_path)}}).execute()
    return notebook


def test_it_does_what_it_says(executed: Any) -> None:
    outputs = [output for cell in executed.cells for output in cell.get("outputs", ())]
    assert {output.output_type for output in outputs} <= {"execute_result", "display_data"}, "nothing on stderr"
    html = "".join(output.data.get("text/html", "") for output in outputs)
    for words in (
        "Classes of digits",
        "first 10 training images",
        "Accuracy of digits-relu over 2 epochs",
        "Accuracy of digits-sigmoid over 2 epochs",
        "True gap",
        "First epoch at 97%",
        "that digits-sigmoid gets wrong",
        "Confusion matrix of digits-relu",
        "What does Sigmoid change?",
        "Does it overfit, and how can one tell?",
        "Which classes are confused, and why these",
        "Exported from digits-relu",
        "PASSED",
        "Latency of digits-relu",
    ):
        assert words in html
    bars = [output for output in outputs if output.output_type == "display_data"]
    assert bars, "progress was shown"
    assert {output.data["text/html"] for output in bars} == {""}, "and its bars were taken away"
