"""A MODEL'S OWN START from named streams: every draw that ends in a parameter, whatever draws it and in what order."""
