"""The bundled example: real CC0 photos, a web server that shows them, a crowd that votes on them."""
