"""Engines, a module each: how the steps of an epoch are executed.

An engine module has `create(...)`, the `DEVICES` it can use, the `PRECISION` of its matrix products and
`why_unavailable()` (a `Skipped`, or None). Those of fp32 all give the same training within rounding: the protocol. The
contract of what they create, `Engine`, is in `_engine.py`.
"""
