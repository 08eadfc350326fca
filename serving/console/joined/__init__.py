"""The pages' ports joined to the real thing: database, artifacts, training. Each module fulfils one protocol of :mod:`serving.console.ports`."""
