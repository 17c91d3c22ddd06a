"""Tests of the models: names, folders, packages and the hub."""
