"""The sans-IO engine: notifications in, bytes out; bytes in, outcomes out."""

__version__ = "0.1.0"
