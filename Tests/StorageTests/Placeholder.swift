// Suite under construction.
