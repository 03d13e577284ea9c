"""Senders to compare with, one a file: a program each, all with the contract of `contract.py`."""
