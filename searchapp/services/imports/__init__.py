"""Imports: jobs that bring pictures in from files, archives, folders, buckets and manifests.

`creation` creates jobs, `control` pauses and ends them, `step` is the work of a worker,
`ledger_report` shows the outcome of each file, and `sources` has a module for each kind of source.
"""
