"""A stand-in for the Dataverse Web API, traps included, for tests and demonstrations."""
