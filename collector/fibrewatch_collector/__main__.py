"""`python -m fibrewatch_collector` is `fibrewatch-collector`."""

from fibrewatch_collector.start import main

if __name__ == "__main__":
    main()
