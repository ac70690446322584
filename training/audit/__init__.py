"""Whether a model treats people alike, behaves as one expects, and bears noise."""
