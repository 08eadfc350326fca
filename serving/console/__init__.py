"""Pages for people: server-rendered, no outside requests."""
