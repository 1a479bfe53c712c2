"""Pages of a dataset: list, gallery, settings, indexes."""
