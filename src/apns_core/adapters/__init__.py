"""What the adapters have in common: all of them but clocks, tasks and transports."""
