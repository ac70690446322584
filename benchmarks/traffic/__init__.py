"""Load on a service: when requests arrive, what they carry, how they ended, and what that says."""
