"""What the kernel says of the machine we run on, read from files below a root that tests may fake."""
