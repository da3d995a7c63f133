"""The one door for foreign words."""

import json

import pytest

from mnist_bench.core import text
from mnist_bench.worker import _serve

STEERING = "\x00\x07\x1b\r\x7f\x9b\u202e\u2066\u200b\u2028\ufeff\U000e0041\udcff"


def test_what_steers_a_terminal_is_shown_and_not_obeyed() -> None:
    assert text.clean(STEERING) == "\ufffd" * len(STEERING)
    assert text.clean("é ü 漢字 \t\n – → ½ 🙂") == "é ü 漢字 \t\n – → ½ 🙂"
    assert text.line(" a\n b\t\x1bc ") == "a b \ufffdc"


def test_a_json_document_keeps_what_it_says() -> None:
    said = {"é": STEERING[:-1], "ü": 'a"\\u001b'}  # half a character is no JSON
    document = json.dumps(said, ensure_ascii=False)
    escaped = text.json_escaped(document)
    assert text.clean(escaped) == escaped
    assert json.loads(escaped) == said
    assert "é" in escaped


def test_a_long_reason_keeps_its_end() -> None:
    found = text.reason("RuntimeError: " + "frame " * 500 + "the cause")
    assert found.startswith("RuntimeError")
    assert found.endswith("the cause")
    assert len(found) <= text.LONGEST_REASON + 3


def test_an_error_without_a_word_says_where_it_was_raised() -> None:
    with pytest.raises(AssertionError) as caught:
        raise AssertionError
    assert f"{__file__} line" in text.of_error(caught.value)
    assert text.of_error(ValueError("no")) == "ValueError: no"
    assert text.of_error(ValueError()) == "ValueError without a word"


def test_the_causes_of_an_error_are_those_that_python_shows() -> None:
    inner, outer = OSError(28, "full"), RuntimeError("outer")
    outer.__cause__ = inner
    assert list(text.causes(outer)) == [outer, inner]
    hidden = RuntimeError("from None")
    hidden.__context__, hidden.__suppress_context__ = inner, True
    assert list(text.causes(hidden)) == [hidden]
    inner.__cause__ = outer  # in a circle
    assert list(text.causes(outer)) == [outer, inner]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), "memory"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), "memory"),
        (ImportError("libgomp.so.1: cannot open shared object file"), "environment"),
        (OSError(28, "No space left on device"), "environment"),
        (RuntimeError("shapes do not fit"), "failed"),
    ],
)
def test_what_an_engine_cannot_is_told_from_what_it_answers(error: Exception, kind: str) -> None:
    assert _serve._kind(error) == kind
