"""Commands under random faults, with a ledger at callers, server and agents, and a checker that compares them."""
