"""Fetch images from addresses that users enter, without access to private networks.

Nothing else in this project connects to an address that a user enters. This package returns bytes;
the caller decides whether they are an image, as for an upload.
"""

from searchapp.infra.fetch.errors import FetchError
from searchapp.infra.fetch.picture import Fetched, fetch_picture
from searchapp.infra.fetch.policy import FetchPolicy

__all__ = ["FetchError", "FetchPolicy", "Fetched", "fetch_picture"]
