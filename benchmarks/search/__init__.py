"""How fast searches and pages are."""
