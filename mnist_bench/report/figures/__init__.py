"""Figures, a module each: `build(records, dataset)` yields pictures, or says what it lacks."""
