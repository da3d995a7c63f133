"""Views of a study: `build(record, options)` makes tables of one `StudyRecord`, finished or not."""
