"""The site on PostgreSQL, whose connections can be broken from outside."""
