"""``farebox prices``: look into the price book, its history and its archive, check it, write its cards anew."""

import click

from farebox.cli.lazy import Commands, LazyGroup

_COMMANDS: Commands = {
    "list": ("prices_list", "list_models", "List the models that have prices."),
    "show": ("prices_show", "show", "Show every price of a model."),
    "history": ("prices_history", "history", "Prices of a model over time, or the books that were used."),
    "diff": ("prices_diff", "diff", "What differs between two price books."),
    "check": ("prices_check", "check", "Report overlaps, gaps, unreachable rows and float noise."),
    "rerate": ("prices_rerate", "rerate", "Price recorded attempts again and compare."),
    "push": ("prices_push", "push", "Put prices in force in running gateways."),
    "pushed": ("prices_push", "pushed", "List the prices that were pushed."),
    "withdraw": ("prices_push", "withdraw_prices", "Take pushed prices out of force."),
    "import": ("prices_import", "import_prices", "Write the shipped cards anew from packaged open data."),
}


@click.group(cls=LazyGroup, table=_COMMANDS)
def prices() -> None:
    """Look into the price book, its history and its archive."""
