"""The real server under load while something is broken: a program for each kind of fault, and a ledger for all."""
