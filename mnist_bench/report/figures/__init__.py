"""Figures, a module each: `build(material)` yields pictures of one panel each, or says what it lacks.

matplotlib is imported here first: it obeys a `matplotlibrc` of the folder where one stands, and that may be anybody's.
It could start programs (`text.usetex`), or be a pipe that nobody writes to. What is drawn depends on no such file, nor
on settings of the environment.
"""

import contextlib
import os
from pathlib import Path

OF_MATPLOTLIB = ("MATPLOTLIBRC", "MPLBACKEND")

for _name in OF_MATPLOTLIB:
    os.environ.pop(_name, None)
with contextlib.chdir(Path(__file__).parent):
    import matplotlib as mpl
mpl.rcdefaults()
