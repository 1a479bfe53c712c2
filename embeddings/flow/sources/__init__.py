"""Sources of rows: files, tables and archives."""
