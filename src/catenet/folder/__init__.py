"""A folder that is served: paths that do not lead out of it, files that are seen when they are complete."""
