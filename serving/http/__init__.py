"""HTTP: the application and its routes, the middleware before them, schemas of requests and responses."""
