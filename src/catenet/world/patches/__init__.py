"""All patching of the interpreter: the simulated standard modules, one file per concern, each with `apply(patcher)`."""
