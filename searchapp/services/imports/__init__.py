"""Imports: jobs that bring pictures in from anywhere.

`creating` makes jobs, `control` pauses and ends them, `reports` tells what became of each file,
`taking` is what workers do, and `sources` has one file for each kind of place.
"""
