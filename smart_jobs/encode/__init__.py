"""Segments in, pooled vectors and hidden states out."""
