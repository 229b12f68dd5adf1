"""What this box can and can't measure: `fibrewatch-agent doctor`."""
