"""Pages of stored images: detail, image files, bulk actions."""
