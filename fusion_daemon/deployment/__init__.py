"""What is deployed on a chain: a file that says so, and whether the chain agrees."""
