"""Pages of stored images: detail, picture files, actions on many."""
