"""Mask predictors: one transformer, one file per family."""
