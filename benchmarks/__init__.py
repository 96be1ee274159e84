"""How fast, how big, how steady: measured beside installed peers on the same machine in the same run."""
