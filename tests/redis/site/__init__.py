"""A Django project whose server and bridge are processes of their own."""
