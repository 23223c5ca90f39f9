"""`python -m mediaproxy`: the commands, where the script of that name is not at hand."""

from mediaproxy.cli import main

main()
