"""Training: one loop for every task, exact to the bit when it is resumed."""
