"""The one Django application of the project."""

from django.apps import AppConfig


class SearchAppConfig(AppConfig):
    name = "searchapp"
    verbose_name = "Lookalike"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from searchapp.services.filters import scalar_sync  # noqa: F401 (connects to its signal)
