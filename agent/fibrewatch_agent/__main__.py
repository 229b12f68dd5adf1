"""`python -m fibrewatch_agent`."""

from fibrewatch_agent.cli import main

if __name__ == "__main__":
    main()
