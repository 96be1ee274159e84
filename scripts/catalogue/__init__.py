"""How the exchanges of `blocklist.yaml` are found, and merged with what people wrote there.

`packages` takes facts from published packages, `proposal` turns facts and hand-curated data into
what the file should hold, `merge` edits the file.  Data, all YAML: `facts` (generated), `curated`
(written by people), `offered` (generated: what was ever put into the file).
"""
