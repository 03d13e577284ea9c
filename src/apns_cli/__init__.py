"""The `apns` command."""
