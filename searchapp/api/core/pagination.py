"""Lists: `{"next", "previous", "results"}`, by cursor, so that a page costs the same anywhere."""

from django.utils.dateparse import parse_datetime
from rest_framework.exceptions import NotFound
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request


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

    def decode_cursor(self, request: Request) -> Cursor | None:
        cursor: Cursor | None = super().decode_cursor(request)
        position = None if cursor is None or cursor.position is None else str(cursor.position)
        if position is not None and not self.is_position(position):
            raise NotFound(self.invalid_cursor_message)
        return cursor

    def is_position(self, text: str) -> bool:
        """Whether a cursor holds what the rows are ordered by."""
        return text.isascii() and text.isdigit() and len(text) < 19


class ItemPages(ImagePages):
    ordering = "position"


class JobPages(ImagePages):
    ordering = "-created"

    def is_position(self, text: str) -> bool:
        try:
            return parse_datetime(text) is not None
        except ValueError:
            return False
