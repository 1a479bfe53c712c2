"""The task that measures what scores mean."""

from __future__ import annotations

import logging
import time

from searchapp.infra.queue import celery_app
from searchapp.infra.vectors.errors import VectorsError, VectorsUnavailable
from searchapp.services import calibration

log = logging.getLogger(__name__)
# What is left goes with the next call: other tasks of this queue take their turn in between.
BUDGET_SECONDS = 10.0


@celery_app.task(name=calibration.TASK)
def calibrate() -> None:
    """Measure the indexes that are new, or have grown by half."""
    until = time.monotonic() + BUDGET_SECONDS
    for index in calibration.due():
        try:
            calibration.calibrate(index)
        except VectorsUnavailable:
            return  # the next call comes within a minute
        except VectorsError as error:
            log.warning("index %d cannot be calibrated: %s", index.pk, error)
        if time.monotonic() > until:
            return
