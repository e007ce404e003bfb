"""Published neurons as their papers and users write them, and what every route makes of them."""
