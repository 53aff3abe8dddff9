"""What goes in and out of the studio in other people's formats."""
