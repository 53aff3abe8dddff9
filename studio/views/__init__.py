"""The window: Gradio's page with our components. Views gather input, call the service, show the answer."""
