"""Experiments: lists of runs that are compared in one table and one plot."""
