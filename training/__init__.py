"""Training of bauta's own patch network. See README.md in this folder for the order of the steps."""
