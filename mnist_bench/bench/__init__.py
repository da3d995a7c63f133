"""How fast is it: what is timed, in which processes and order, and what the times say.

`trainer` and `prober` run inside the measured processes: they import only what they measure.
"""
