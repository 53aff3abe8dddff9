"""The window: Gradio's page with our components in it. Views gather input, call the service, show the answer."""
