"""A process that holds one session and answers messages: `python -P -m mnist_bench.worker`.

It starts without torch, msgspec or click, and imports no engine but its own. The clock is read here, next to the call.
What it is asked, and how it answers, is `docs/protocol.md`.
"""

from pathlib import Path

JAVASCRIPT = Path(__file__).parent / "_javascript"
"""The same in JavaScript, for Node and for browsers."""
