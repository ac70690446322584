"""Texts of many requests, put into batches."""
