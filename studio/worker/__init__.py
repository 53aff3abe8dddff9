"""The worker process that renders queued jobs, and its supervisor."""
