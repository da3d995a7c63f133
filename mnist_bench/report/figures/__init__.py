"""Figures, a module each: `build(material)` yields pictures of one panel each, or says what it lacks."""
