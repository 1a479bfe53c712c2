"""From an uploaded file to a searchable image: acceptance and claims."""
