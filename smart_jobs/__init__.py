"""Distributed offline batch indexing with SMART: pooled vectors and hidden states in a Delta lake."""
