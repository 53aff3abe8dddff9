"""How a studio grows: a simulation of many workers and films at one queue."""
