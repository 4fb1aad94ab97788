"""The mask predictors: one transformer, one contract, and one file for each family."""
