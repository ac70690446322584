"""Files scored in bulk: in parts, by many processes or machines, each output complete or absent (docs/bulk.md)."""
