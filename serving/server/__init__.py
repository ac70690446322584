"""The server process: how BentoML and uvicorn are set up, connections, and their end."""
