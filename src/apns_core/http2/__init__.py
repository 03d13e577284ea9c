"""RFC 9113 and RFC 7541 for a client of small requests; nothing here knows of APNs."""
