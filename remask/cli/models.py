import typer
group = typer.Typer(name='models')
@group.command()
def x() -> None:
    """To come."""
@group.command()
def y() -> None:
    """To come."""
