"""HTTP: the routes, the gate before them, the documents."""
