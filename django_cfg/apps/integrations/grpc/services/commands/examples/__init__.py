"""A fleet of bots: its protocol (`fleet.proto`), a server, an agent, and the commands that Django sends."""
