"""What surrounds a run: processes, mixed precision, folder, disk."""
