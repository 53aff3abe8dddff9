"""Routers: the rules by which the queries of a shot choose what they attend to."""
