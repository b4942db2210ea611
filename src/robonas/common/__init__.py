"""Shared helpers: registries of names, files, random numbers, settings, and kernels that are safe to call."""
