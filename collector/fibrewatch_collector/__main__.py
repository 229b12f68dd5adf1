"""`python -m fibrewatch_collector` is `fibrewatch-collector`."""

from fibrewatch_collector.cli import main

if __name__ == "__main__":
    main()
