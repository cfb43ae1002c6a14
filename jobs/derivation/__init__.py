"""How a row of the outcome came about, as a tree, and that tree drawn in several ways."""
