"""A real Tryton server on this machine, for tests and for the demo: its environment, a company, and people's hands.

Tryton (GPL-3) runs as a process of its own in an environment of its own; nothing of it is imported here.
"""
