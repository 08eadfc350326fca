"""Every fixed text of the pages, in both languages side by side so that neither can be forgotten."""
