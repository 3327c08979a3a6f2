"""`python -m cacheguard` is the program `cacheguard`."""

from cacheguard.cli import main

if __name__ == "__main__":
    main()
