"""The task that calibrates the scores of indexes."""

from __future__ import annotations

import logging
import time

from searchapp.infra.queue import celery_app
from searchapp.infra.vectors.errors import VectorsError, VectorsUnavailable
from searchapp.services import calibration

log = logging.getLogger(__name__)
# The rest is left to the next call, so that other tasks of this queue can run in between.
BUDGET_SECONDS = 10.0


@celery_app.task(name=calibration.TASK)
def calibrate() -> None:
    """Calibrate indexes that are new or have grown by half."""
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
