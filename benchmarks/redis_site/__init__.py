"""The Django project whose `rpc_server` is measured, and the typed call that is made to it."""
