"""What is kept: the database, its tables, and the projects and takes in it."""
