"""Requests in, steps and completions out: rows, their batch, and the loop that advances them."""
