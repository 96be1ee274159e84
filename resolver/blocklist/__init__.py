"""What people write: the blocklist's text, read, checked, compared and tidied."""
