"""One format for a run: the file, the recorder that writes it, the board that replays it."""
