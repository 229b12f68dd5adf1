"""fibrewatch: the contract that agents and collectors share."""

__version__ = "0.1.0"
