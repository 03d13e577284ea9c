"""The kernel itself misbehaves: narrow links, dropped packets, killed sockets, in a namespace."""
