from ablations.cli import main

main()
