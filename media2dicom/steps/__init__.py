"""One row's way through the project, step by step: retrieve, convert, check, store, record.

Each step takes a batch, does what is left to do for its rows, writes every outcome to the ledger and returns how
many rows failed in a way that may pass. It never raises for what one row, one file or the PACS does. Whoever
calls it (tasks/, the command line) decides whether and when to try again.
"""
