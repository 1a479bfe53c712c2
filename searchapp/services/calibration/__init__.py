"""Score calibration of indexes, measured on a sample of the dataset's own images."""

from searchapp.services.calibration.bounds import (
    Bounds,
    bounds_of,
    calibrations_of,
    general_bounds,
)
from searchapp.services.calibration.measurement import TASK, calibrate, due, sample
from searchapp.services.calibration.plots import Plot, plot_of, plots_of

__all__ = [
    "TASK",
    "Bounds",
    "Plot",
    "bounds_of",
    "calibrate",
    "calibrations_of",
    "due",
    "general_bounds",
    "plot_of",
    "plots_of",
    "sample",
]
