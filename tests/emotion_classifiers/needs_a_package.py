"""A module that needs a package that is not there, for the test of what is said then."""

import nowhere_to_be_found  # noqa: F401
