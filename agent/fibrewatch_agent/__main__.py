"""`python -m fibrewatch_agent`."""

from fibrewatch_agent.start import main

if __name__ == "__main__":
    main()
