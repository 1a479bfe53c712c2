"""Running the whole application on one machine: what runs, and what watches over it."""
