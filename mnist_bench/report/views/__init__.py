"""Views: from records to neutral tables. A folder per subject, a module per view; `ORDER` is its place."""
