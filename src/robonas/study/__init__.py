"""The search: ask the strategy, evaluate, tell; its record is an Optuna study."""
