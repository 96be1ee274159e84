"""What would be decided about a name, and the whole trace of why, for people and programs."""
