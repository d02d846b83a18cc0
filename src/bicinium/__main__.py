"""Run the command line: ``python -m bicinium``."""

from bicinium.cli.main import main

if __name__ == "__main__":
    main()
