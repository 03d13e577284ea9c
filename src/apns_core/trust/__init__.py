"""What makes APNs trust a sender, and a sender trust APNs: provider tokens and TLS."""
