"""Real sockets, real clients, real upstreams, all on the loopback interface."""
