"""Lists: `{"next", "previous", "results"}`, by cursor, so that a page costs the same anywhere."""

from rest_framework.pagination import CursorPagination


class DatasetPages(CursorPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    ordering = "slug"


class ImagePages(CursorPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200
    ordering = "-pk"
