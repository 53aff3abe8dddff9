"""Where models lie: folders, single files, the hub and its cache on this machine. No torch."""
