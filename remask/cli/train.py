def train() -> None:
    """To come."""
