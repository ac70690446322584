"""The network itself, for training and for export; the only part of `shared` that imports torch."""
