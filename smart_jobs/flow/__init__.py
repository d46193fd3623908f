"""The jobs, wired together; the only package that imports ray."""
