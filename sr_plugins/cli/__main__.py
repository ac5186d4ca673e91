"""``python -m sr_plugins.cli`` is ``srp``."""

from sr_plugins.cli.entry import main

main()
