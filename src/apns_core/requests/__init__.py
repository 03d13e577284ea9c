"""What is asked of APNs, checked when it is made."""
