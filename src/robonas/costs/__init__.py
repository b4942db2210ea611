"""Costs of networks: parameters, operations, memory and time, by one definition each."""
