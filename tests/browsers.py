"""A real browser, for tests."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from typing import Any

import pytest

QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync", "--no-first-run")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on the PATH")


def faults_by_axe(tab: Any) -> list[str]:
    """Ask axe-core what is not accessible on a page that is open: rule, element, and why. All its rules are run."""
    source = resources.files(pytest.importorskip("axe_playwright_python")).joinpath("axe.min.js")
    tab.evaluate(source.read_text(encoding="utf-8"))
    found = tab.evaluate("axe.run().then(found => found.violations)")
    return [f"{one['id']}: {node['html'][:200]}: {node['failureSummary']}" for one in found for node in one["nodes"]]


@contextmanager
def opened_browser() -> Iterator[Any]:
    """Chromium, started by Playwright; skipped where either is missing."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium on the PATH")
    with sync_api.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield chromium
        chromium.close()
