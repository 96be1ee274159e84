"""`python -m resolver`, the same program as the console script `exchange-resolver`."""

from resolver.cli import main

if __name__ == "__main__":
    main()
