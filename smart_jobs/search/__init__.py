"""Candidates from the index, exact hybrid scores over them."""
