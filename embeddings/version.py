"""Version of the library, recorded in manifests of bundles and in exported models."""

__version__ = "0.1.0"
