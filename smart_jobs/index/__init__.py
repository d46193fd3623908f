"""faiss indexes over pooled vectors, and what each was built from."""
