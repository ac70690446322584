"""The steps of `emotion adapt`: what a user gives, the levels, the rows to label."""
