"""A simulated APNs."""
