def doctor() -> None:
    """To come."""
