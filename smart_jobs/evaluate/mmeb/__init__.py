"""MMEB-V2: its annotations and media as tasks, in the words of two reference evaluators."""
