"""The version of the library, which manifests of bundles and exported models record."""

__version__ = "0.1.0"
