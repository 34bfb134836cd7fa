"""`python -m kopal` is the command line."""

from kopal.cli import main

if __name__ == "__main__":
    main()
