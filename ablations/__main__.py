"""`python -m ablations`."""

from ablations.cli import main

main()
