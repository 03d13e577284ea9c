"""Hours of sending through a network that misbehaves: real sockets, real TLS, both adapters."""
