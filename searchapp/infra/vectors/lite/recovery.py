"""Recover a Milvus Lite data directory after its server was killed."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def drop_superseded_logs(collection_dir: Path) -> None:
    """Delete write-ahead logs whose rows are already in sealed files, according to the manifest.

    A flush commits the manifest, then deletes the log. If it is killed between the two, Milvus
    Lite would replay the log in addition to the sealed rows, and return each row twice.
    """
    from milvus_lite.storage.manifest import Manifest
    from milvus_lite.storage.wal import WAL, _cleanup_old_wals

    active = Manifest.load(str(collection_dir))._active_wal_number
    log_dir = str(collection_dir / "wal")
    if active is not None and any(number < active for number in WAL.find_wal_files(log_dir)):
        logger.warning("removing logs before number %d in %s", active, log_dir)
        _cleanup_old_wals(log_dir, active - 1)


def open_collections(db: Any) -> None:
    """Open and load every collection of `db`, so that they are ready for the first request.

    This is also necessary for safety. Milvus Lite opens a collection on first use, and two
    concurrent requests would open it twice, with the same log file.
    """
    for database in db.list_databases():
        for name in db.list_collections(database_name=database):
            directory = Path(db._collection_dir(name, database))
            drop_superseded_logs(directory)
            collection = db.get_collection(name, database_name=database)
            _load(collection, directory)


def _load(collection: Any, directory: Path) -> None:
    try:
        collection.load()
    except Exception:
        # Index files are written in place, so a kill can leave one truncated and unreadable.
        # They are derived from the rows and can be rebuilt.
        logger.exception("rebuilding the indexes of %s", collection.name)
        for indexes in directory.glob("partitions/*/indexes"):
            shutil.rmtree(indexes)
        collection.load()
