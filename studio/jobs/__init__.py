"""The queue as data: jobs, requests, claims, leases and time estimates. No processes."""
