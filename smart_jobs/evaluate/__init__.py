"""Benchmarks: queries, candidates, relevance, metrics."""
