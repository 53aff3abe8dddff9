"""The web page: Gradio shell, window component and forms."""
