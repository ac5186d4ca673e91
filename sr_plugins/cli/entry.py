"""The ``srp`` script: an interrupt is heard from here on, before what takes time to import."""

from sr_plugins.cli.stopping import stoppable


def main() -> None:
    """Entry point of the ``srp`` script."""
    with stoppable():
        from sr_plugins.cli.main import run

        run()
