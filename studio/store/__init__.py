"""Storage: the database, its tables and migrations, and the files of takes."""
