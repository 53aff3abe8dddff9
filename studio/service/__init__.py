"""One object through which the page, the routes and the command line use the studio."""
