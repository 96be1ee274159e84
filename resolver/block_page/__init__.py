"""What a blocked person sees at the sinkhole address: what is blocked, by which order, whom to ask."""
