"""One real run as a lesson: its numbers, and the chapters that show them."""
