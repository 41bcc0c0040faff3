"""Calls under random faults, with a ledger on both sides and a checker that compares them."""
