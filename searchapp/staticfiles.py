"""Static files with names that contain a hash of their content, for long caching."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """Also rewrites the import statements of ES modules to the hashed names."""

    support_js_module_import_aggregation = True
