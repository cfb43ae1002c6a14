"""Rules: pure functions from facts, program terms and a date to what is owed and why."""
