"""What runs the segments of a collection: threads of this process, or Ray's processes."""
