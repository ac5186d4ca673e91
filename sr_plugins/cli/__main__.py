"""``python -m sr_plugins.cli`` is ``srp``."""

from sr_plugins.cli.main import main

main()
