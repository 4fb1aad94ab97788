"""The words and the wordings that tasks draw from: data, written by hand."""
