"""Engines, a module each with a `create(...)`: how the steps of an epoch are executed.

All give the same training within rounding. The contract, `Engine`, is in `_engine.py`.
"""
