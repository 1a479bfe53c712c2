"""Where rows come from: files, tables and archives."""
