"""Where Ordinance meets people and systems: HTTP, pages, processes, all wiring."""
