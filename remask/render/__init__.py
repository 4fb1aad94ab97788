"""The views of steps and traces: pure functions to the terminal, to one HTML page, to a picture."""
