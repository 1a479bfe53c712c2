"""Lists: `{"next", "previous", "results"}`, by cursor, so that a page costs the same anywhere."""

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

from searchapp.services.errors import Invalid
from searchapp.services.moments import parse_moment

# The parameters of every list.
PAGING = ("cursor", "page_size")


class _Pages(CursorPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def get_page_size(self, request: Request) -> int:
        """Return the wanted size; unlike Django REST framework, refuse one that is none."""
        text = request.query_params.get("page_size")
        if text is None:
            return self.page_size
        if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= self.max_page_size):
            raise ValidationError(
                {"page_size": [f"This must be a whole number from 1 to {self.max_page_size}."]}
            )
        return int(text)

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor: Cursor | None = super().decode_cursor(request)
        except NotFound:
            raise _invalid_cursor() from None
        position = None if cursor is None or cursor.position is None else str(cursor.position)
        if position is not None and not self.is_position(position):
            raise _invalid_cursor()
        return cursor

    def is_position(self, text: str) -> bool:
        """Whether a cursor holds what the rows are ordered by."""
        return text.isprintable()


def _invalid_cursor() -> Invalid:
    return Invalid(
        "invalid_cursor", "This `cursor` is not from a `next` or `previous` of this list."
    )


class DatasetPages(_Pages):
    ordering = "slug"


class ImagePages(_Pages):
    ordering = "-pk"

    def is_position(self, text: str) -> bool:
        return text.isascii() and text.isdigit() and len(text) < 19


class ItemPages(ImagePages):
    ordering = "position"


class JobPages(ImagePages):
    ordering = "-created"

    def is_position(self, text: str) -> bool:
        return parse_moment(text) is not None
