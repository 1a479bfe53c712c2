"""Vector indexes of datasets: pipelines, lifecycle, building and comparison."""
