"""Trackers, a module each: what a training's record has, told to tools that people already use.

A tracker module has `why_unavailable()` (a `Skipped`, or None) and `create(folder)`, which gives a `Tracker` of the
run in that folder. What it logs is what the record holds: a run that is resumed goes on in its log.
"""

from mnist_bench.tracking._guard import Guarded, Tracker, check_installed, track

SEVERAL = "trackers"

__all__ = ["Guarded", "Tracker", "check_installed", "track"]
