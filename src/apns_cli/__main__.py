"""Runs ``python -m apns_cli``."""

from apns_cli import main

if __name__ == "__main__":
    main()
