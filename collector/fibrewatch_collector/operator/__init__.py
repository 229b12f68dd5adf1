"""What runs at the operator's: the `fibrewatch` command, its demo and its simulated boxes."""
