"""The environment of the test run, set before Django reads it: nothing of the outside leaks in.

Loaded by `-p tests.environment` (see pyproject.toml), which comes before pytest-django.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile

from harness.installation import clean_environment

# A run in the background of a shell ignores interrupts, and so would the programs that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_folder = tempfile.mkdtemp(prefix="lk-test-")
os.mkdir(os.path.join(_folder, "static"))  # WhiteNoise warns where nothing was collected
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
# The embedded PostgreSQL warns where there is none.
_environment = clean_environment(
    LOOKALIKE_DATA_DIR=_folder,
    LOOKALIKE_LOG_LEVEL="WARNING",
    # The library's models, and a hub that is not asked, in a folder of the tests as well.
    EMBEDDINGS_HOME=os.path.join(_folder, "models"),
    HF_HOME=os.path.join(_folder, "hub"),
    HF_HUB_OFFLINE="1",
)
_environment.setdefault("XDG_RUNTIME_DIR", _folder)
# One for all processes of the run and all that they start: models are converted and measured once.
_shared = os.environ["TESTS_FOLDER"] if "PYTEST_XDIST_WORKER" in os.environ else _folder
_environment["TESTS_FOLDER"] = _shared
_environment["EMBEDDINGS_CACHE"] = os.path.join(_shared, "cache")
os.environ.clear()
os.environ.update(_environment)
