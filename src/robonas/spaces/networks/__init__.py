"""The networks that architectures stand for, a module for each space with parts of its own.

Spaces import them when they build one, so that listing and reading architectures needs no PyTorch.
"""
