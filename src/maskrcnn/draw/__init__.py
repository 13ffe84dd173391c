"""Pictures: instances over their picture, and a report as one file."""
