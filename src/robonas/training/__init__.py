"""The training loop that objectives and full trainings share."""
