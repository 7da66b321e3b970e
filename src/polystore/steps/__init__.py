"""Steps: frozen values that say what to do with an item. The dispatcher does it."""
