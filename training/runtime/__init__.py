"""What surrounds a run: processes, number format, folder, disk."""
