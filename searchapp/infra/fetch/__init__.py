"""Fetch pictures from addresses that users type, without access to private networks.

Nothing else in this project opens a connection to a place that a user names. What comes through
here is bytes; whether they are a picture is decided by the caller, as for an upload.
"""

from searchapp.infra.fetch.errors import FetchError
from searchapp.infra.fetch.picture import Fetched, fetch_picture
from searchapp.infra.fetch.policy import FetchPolicy

__all__ = ["FetchError", "FetchPolicy", "Fetched", "fetch_picture"]
