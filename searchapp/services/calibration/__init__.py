"""What scores mean in a dataset: measured by a sample of its own pictures, and kept by index."""

from searchapp.services.calibration.bounds import Bounds, bounds_of, general_bounds

__all__ = ["Bounds", "bounds_of", "general_bounds"]
