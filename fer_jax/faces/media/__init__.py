"""Media files: containers of video, and pictures."""
