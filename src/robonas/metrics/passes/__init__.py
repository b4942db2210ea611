"""The forward and backward passes that metrics share, and what makes them exact and fast."""
