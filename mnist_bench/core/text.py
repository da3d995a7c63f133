"""The one door for words that may be a stranger's: names in a model, a record's fields, what a library says.

Whatever is printed goes through here: characters that steer a terminal, or that turn the reading direction, are shown
as U+FFFD. Standard library alone: workers start with this.
"""

import json
import re
from collections.abc import Iterator

STEERING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but for tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # Unicode's bidirectional controls (UAX #9)
    "\u200b\u2028\u2029\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb"  # what is not seen; other line breaks
    "\U000e0000-\U000e007f"  # tags: a text within the text
    "\ud800-\udfff"  # halves of characters: bytes of a file name that are not UTF-8
    "]"
)
SHOWN_AS = "\ufffd"
LONGEST_REASON = 400
"""Characters of an error: some lines on a terminal; engines put whole stacks into their messages."""


def clean(text: str) -> str:
    """Return text that is safe to show, with its lines and its tabs."""
    return STEERING.sub(SHOWN_AS, text)


def json_escaped(document: str) -> str:
    """Return a JSON document in which such characters, which stand in strings alone, are written by their numbers."""
    if document.isascii() and "\x7f" not in document:  # encoders write the first 32 by their numbers
        return document
    return STEERING.sub(lambda found: json.dumps(found[0])[1:-1] if found[0] != "\x7f" else "\\u007f", document)


def line(text: str) -> str:
    """Return text that is safe to show, in one line."""
    return clean(" ".join(text.split()))


def reason(text: str) -> str:
    """Return a stranger's reason in one line that is not too long: its beginning, and its end, where the cause is."""
    whole = line(text)
    if len(whole) <= LONGEST_REASON:
        return whole
    head = LONGEST_REASON // 3
    return f"{whole[:head]} … {whole[head - LONGEST_REASON :]}"


def causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, what it was raised from or in the midst of, and so on; as Python shows them."""
    seen: set[int] = set()
    below: BaseException | None = error
    while below is not None and id(below) not in seen:
        seen.add(id(below))
        yield below
        below = below.__cause__ or (None if below.__suppress_context__ else below.__context__)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is of memory, which not every library says by a MemoryError."""
    named = type(error).__name__ == "OutOfMemoryError"
    said = ("can't allocate memory", "failed to map segment")  # of PyTorch; of the loader of libraries
    return named or isinstance(error, MemoryError) or any(words in str(error) for words in said)


def is_of_a_library(error: BaseException) -> bool:
    """Tell whether an error says that a library is not there, or that the system refuses to load it."""
    return isinstance(error, ImportError) and not (error.name or "").startswith("mnist_bench")


def of_error(error: BaseException) -> str:
    """Say what an error is: its type and its words; where it has none, where it was raised."""
    words = str(error).strip()
    if words:
        return f"{type(error).__name__}: {words}"
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    if trace is None:
        return f"{type(error).__name__} without a word"
    return f"{type(error).__name__} without a word, in {trace.tb_frame.f_code.co_filename} line {trace.tb_lineno}"
