"""`python -m resolver`: the same as the console script."""

from resolver.cli import main

if __name__ == "__main__":
    main()
