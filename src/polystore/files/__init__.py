"""What one does with stored files, derived once from the few functions of a store's record."""
