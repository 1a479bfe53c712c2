"""Pages of imports: the form, jobs and their ledgers."""
