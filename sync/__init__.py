"""Store, mapping, pull, matching, claims, plan and outbox: everything between connectors and rules."""
