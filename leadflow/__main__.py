"""`python -m leadflow`."""

from leadflow.cli import main

if __name__ == "__main__":
    main()
