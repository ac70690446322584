"""The measuring core: rounds, summaries, the machine and its limits, and what a contender costs to load and hold."""
