"""A virtual machine for what this machine's kernel may lack: netem's lines, and radios."""
