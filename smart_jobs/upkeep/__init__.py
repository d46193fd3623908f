"""A lake is kept: is it whole, what may go, what has to."""
