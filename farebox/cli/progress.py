"""A bar on standard error while something takes long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from farebox.present.tables import make_console

Tell = Callable[[str, int, int], None]


@contextmanager
def show_progress(name: str, *, quiet: bool) -> Iterator[Tell]:
    """Yield what is told what is being done, how many of how many rows are done; nothing is shown to a file or pipe."""
    console = make_console()
    console.stderr = True
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        task = progress.add_task(name, total=None)

        def tell(what: str, done: int, of: int) -> None:
            progress.update(task, description=f"{what} {name}", completed=done, total=of or None)

        yield tell
