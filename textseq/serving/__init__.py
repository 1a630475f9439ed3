"""What stands around an exported model: running it, serving it, asking it, the files beside it."""
