"""The routes of the pages: read the request, ask the ports, hand the answer to a view."""
