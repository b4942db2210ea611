"""Worker processes: a map over many items, the death of a worker, and signals that stop a command."""
