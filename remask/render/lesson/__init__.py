"""One real run as a lesson: what is gathered from it, and the chapters that show it."""
