"""Bytes of one asset in, the text and pages of its segments out."""
