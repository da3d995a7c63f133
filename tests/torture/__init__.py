"""What a run survives: kills, full disks, signals, damaged and hostile files, crowds. CI takes a sample.

`tox -e torture` takes all; docs/reliability.md has its figures.
"""
