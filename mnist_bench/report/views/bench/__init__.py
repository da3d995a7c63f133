"""Views of a benchmark: how fast each runtime or engine is, and how fast it could be at best."""
