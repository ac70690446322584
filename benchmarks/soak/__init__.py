"""A service under steady load while its operator restarts it and swaps its bundle: what became of every request."""
