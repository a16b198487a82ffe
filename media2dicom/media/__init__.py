"""Media files in, payloads out. The registry: one line per media type; its reader is one file beside this one."""
