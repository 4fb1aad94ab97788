"""How good and how fast: accuracy, recipes side by side, drift, long context; with counts, intervals and records."""
