"""Printing: symbolic Jacobians as text. Nothing here computes."""
