"""Image search: find the stored images most similar to a query picture."""

from searchapp.services.search.box import Box, parse_box
from searchapp.services.search.retrieval import indexes_of
from searchapp.services.search.service import (
    answer_image,
    answer_query,
    ask_url,
    check_ready,
    search_upload,
    search_url,
)
from searchapp.services.search.stored_queries import (
    ask_upload,
    find_query,
    keep_fetched,
    query_thumbnail,
)
from searchapp.services.search.suggested_regions import find_regions, remembered_regions
from searchapp.services.search.types import (
    MAX_DATASETS,
    MAX_RESULTS,
    Answer,
    Cutoff,
    Match,
    SearchRequest,
    Sort,
    Timings,
)

__all__ = [
    "MAX_DATASETS",
    "MAX_RESULTS",
    "Answer",
    "Box",
    "Cutoff",
    "Match",
    "SearchRequest",
    "Sort",
    "Timings",
    "answer_image",
    "answer_query",
    "ask_upload",
    "ask_url",
    "check_ready",
    "find_query",
    "find_regions",
    "indexes_of",
    "keep_fetched",
    "parse_box",
    "query_thumbnail",
    "remembered_regions",
    "search_upload",
    "search_url",
]
