"""Whether the parts of a release are whole and belong together, part by part.

Each module has a function that raises ReleaseError with what was expected and what came. They read what the serving
process would only map, and may be given anything: they run in a process that may end without harm.
"""
