"""`kubectl perennial`: what a person asks of the records, and decides, from the command line."""
