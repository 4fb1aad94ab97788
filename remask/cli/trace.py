import typer
group = typer.Typer(name='trace')
@group.command()
def x() -> None:
    """To come."""
@group.command()
def y() -> None:
    """To come."""
