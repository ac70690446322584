"""How fast it is, against whom, and how near to what the machine can do; README.md here says how to read it."""
