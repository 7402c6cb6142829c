"""A page on which a person looks at services and calls them."""
